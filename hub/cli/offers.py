"""`perijove offers`: where a request could run, when it would start, and what it would cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.inwords import amount, fault, joined, span
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _, ngettext
from perijove.spawners.units import credits_text, memory_from
from perijove.spawners.visible import visible

PREFERENCES = ("start", "price", "data", "balanced")
_REASONS = {
    "soonest": N_("starts soonest"),
    "cheapest": N_("costs least"),
    "only-fit": N_("the only one that fits"),
    "best-balance": N_("the best balance of start, price and data"),
}
_TOO_OLD = N_("the gateway's offers cannot be read: is it of another version?")


class Memory(click.ParamType[int]):
    """An amount of memory, "8G"; a plain number is MiB."""

    name = "MEMORY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """MiB, or a fault in words."""
        try:
            return memory_from(int(value) if str(value).isascii() and str(value).isdigit() else value)
        except ValueError:
            self.fail(_('memory is a number of MiB or a text such as "512M" or "4G"'), param, ctx)


@click.command()
@click.option("--cores", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Cores on one node.")
@click.option("--hours", type=click.FloatRange(1 / 60, 366 * 24), help="How long; each queue's usual time if left out.")
@click.option("--memory", type=Memory(), help='Memory, as in "8G"; the share of the cores if left out.')
@click.option("--gpus", type=click.IntRange(0, 1000), default=0, show_default=True, help="GPUs on one node.")
@click.option("--centre", help="This centre alone.")
@click.option("--queue", help="Queues of this name alone.")
@click.option("--data", multiple=True, metavar="NAME", help="A data set that is to lie at the centre; may be repeated.")
@click.option(
    "--prefer", type=click.Choice(PREFERENCES), default="balanced", show_default=True, help="What matters most."
)
@api.options
@click.option("--json", "json_", is_flag=True, help="The answer as JSON, for programs.")
@click.pass_context
def offers(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    cores: int,
    hours: float | None,
    memory: int | None,
    gpus: int,
    centre: str | None,
    queue: str | None,
    data: tuple[str, ...],
    prefer: str,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Show where a request could run, when it would start, and what it costs at most. Starts nothing.

    Exit code 1 also if no centre can serve the request: what each would need is listed.
    """
    wanted: dict[str, Any] = {
        "cores": cores,
        "memory": memory,
        "gpus": gpus,
        "centre": centre,
        "queue": queue,
        "prefer": prefer,
    }
    wanted |= {"walltime": round(hours * 3600) if hours else None, "data": list(data)}
    with api.connect(url, token_file, config) as gateway:
        answer = gateway.send("POST", "/offers", {key: value for key, value in wanted.items() if value})
    if not isinstance(answer, dict) or not isinstance(answer.get("offers"), list):
        raise api.ApiFailed(_(_TOO_OLD))
    good = [offer for offer in answer["offers"] if offer.get("fits")]
    if json_:
        click.echo(as_json(answer))
    else:
        try:
            click.echo(report(answer))
        except (KeyError, TypeError, ValueError):
            raise api.ApiFailed(_(_TOO_OLD)) from None
    ctx.exit(0 if good else 1)


def report(answer: Mapping[str, Any]) -> str:
    """The answer of the API in words: what fits, best first, and what does not with its reason and what would help.

    Raises KeyError, TypeError and ValueError if it is none.
    """
    good = [offer for offer in answer["offers"] if offer["fits"]]
    bad = [offer for offer in answer["offers"] if not offer["fits"]]
    best = answer.get("recommended")
    parts = []
    if good:
        when = (_("STARTS USUALLY IN"), _("9 OF 10 WITHIN"), _("FROM"))
        head = ("", _("CENTRE"), _("QUEUE"), *when, _("AT MOST"), _("DATA"))
        parts.append(table(head, [_row(offer) for offer in good]))
    if best:
        place = {"centre": visible(best["centre"], 40), "queue": visible(best["queue"], 40)}
        words = _("* recommended: {centre}, queue {queue}: {why}")
        parts.append(words.format(**place, why=_why(best["reasons"])))
    if not good:
        parts.append(_("no centre can serve this request as it is"))
    if bad:
        rows = [(o["centre"], o["queue"], fault(f), _help(f.get("fix"))) for o in bad for f in o["faults"]]
        parts.append(table((_("CENTRE"), _("QUEUE"), _("DOES NOT FIT"), _("WHAT WOULD HELP")), rows, 90))
    return "\n\n".join(parts)


def _row(offer: Mapping[str, Any]) -> Sequence[object]:
    start = offer["start"]
    first, third = start["middle"]
    data = [*offer["data"], *(_("no {name}").format(name=name) for name in offer["data_missing"])]
    mark = "*" if offer["recommended"] else ""
    centre = _("{centre} (silent)").format(centre=offer["centre"]) if offer.get("unknown_since") else offer["centre"]
    usual, most = span(first, third), span(start["low"], start["high"])
    price = _("{amount} credits").format(amount=credits_text(offer["price"]))
    return mark, centre, offer["queue"], usual, most, _evidence(start), price, ", ".join(data)


def _evidence(start: Mapping[str, Any]) -> str:
    if start["evidence"] in ("history", "both"):
        starts, days = start["count"], start["days"]
        return _("{starts} in {days}").format(
            starts=ngettext("{count} start", "{count} starts", starts).format(count=starts),
            days=ngettext("{count} day", "{count} days", days).format(count=days),
        )
    if start["evidence"] == "warm":
        return _("kept ready")
    return _("what the centre says") if start["evidence"] == "centre" else _("nothing known yet")


def _why(reasons: Iterable[Mapping[str, Any]]) -> str:
    return joined(_reason(str(reason["code"]), reason["values"]) for reason in reasons)


def _reason(code: str, values: Mapping[str, Any]) -> str:
    if code == "data-here":
        return _("has {data}").format(data=visible(", ".join(values["data"]), 200))
    return _(_REASONS[code]) if code in _REASONS else visible(code, 40)


def _help(fix: Mapping[str, Any] | None) -> str:
    if fix is None:
        return _("another queue or centre")
    return _("ask for at most {amount}").format(amount=amount(fix["field"], fix["value"]))
