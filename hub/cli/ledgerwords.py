"""What the commands of the ledger have in common: options, budgets' keys, amounts of money and days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from perijove.hub.cli.answers import Name
from perijove.hub.cli.inwords import money
from perijove.hub.cli.words import N_, _
from perijove.spawners.units import credits_from
from perijove.spawners.visible import visible

BUDGET = Name(
    "budget",
    r"(person|project|course):[^\s/%?#]{1,255}",
    N_("'{value}' is no budget: person:NAME, project:NAME or course:NAME; `perijove projects list` shows yours"),
)
PROJECT = Name("project", r"[a-z][a-z0-9-]{0,31}", N_("'{value}' is no project's name: small letters, digits and -"))
PERSON = Name("person", r"[^\s/%?#]{1,255}", N_("'{value}' is nobody's name"))
DAY = click.DateTime(["%Y-%m-%d"])


class Credits(click.ParamType[int]):
    """An amount in credits ("12.5"), as micro-credits."""

    name = "credits"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The amount, or the fault."""
        if isinstance(value, int):
            return value
        try:
            amount = credits_from(value)
        except ValueError:
            amount = -1
        if amount < 0:
            words = _("'{value}' is no amount: credits from 0 on with at most six decimal places, as 12.5")
            self.fail(words.format(value=visible(value, 40)), param, ctx)
        return amount


def window(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--since` and `--until` to a command."""
    for option in (
        click.option("--until", type=DAY, metavar="DAY", help="Until before this day (UTC), e.g. 2027-01-01."),
        click.option("--since", type=DAY, metavar="DAY", help="From this day on (UTC), e.g. 2026-12-01."),
    ):
        command = option(command)
    return command


def at(day: datetime | None) -> str | None:
    """The beginning of a day, as the API takes times."""
    return day.replace(tzinfo=UTC).isoformat() if day is not None else None


def query(**filters: str | None) -> dict[str, str | int | bool]:
    """The filters that are given."""
    return {key: value for key, value in filters.items() if value is not None}


def amount(row: Mapping[str, Any], key: str) -> str:
    """Money of an answer as people read it; "" where there is none."""
    value = row.get(key)
    return money(value) if isinstance(value, int) else ""


def day(row: Mapping[str, Any], key: str) -> str:
    """A day of an answer; "" where there is none."""
    return str(row.get(key) or "")[:10]
