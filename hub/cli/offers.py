"""`perijove offers`: where a request could run, when it would start, and what it would cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.tables import as_json, table
from perijove.spawners.units import count_text, credits_text, memory_from, memory_text, time_text
from perijove.spawners.visible import visible

PREFERENCES = ("start", "price", "data", "balanced")
#: How the value of a fix reads.
_IN_WORDS = {
    "cores": lambda n: count_text(n, "core"),
    "memory": memory_text,
    "gpus": lambda n: count_text(n, "GPU"),
    "walltime": time_text,
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_REASONS = {
    "soonest": "starts soonest",
    "cheapest": "costs least",
    "only-fit": "the only one that fits",
    "best-balance": "the best balance of start, price and data",
}
_TOO_OLD = "the gateway's offers cannot be read: is it of another version?"


class Memory(click.ParamType[int]):
    """An amount of memory, "8G"; a plain number is MiB."""

    name = "MEMORY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """MiB, or a fault in words."""
        try:
            return memory_from(int(value) if str(value).isascii() and str(value).isdigit() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
        raise api.ApiFailed(_TOO_OLD)
    good = [offer for offer in answer["offers"] if offer.get("fits")]
    if json_:
        click.echo(as_json(answer))
    else:
        try:
            click.echo(report(answer))
        except (KeyError, TypeError, ValueError):
            raise api.ApiFailed(_TOO_OLD) from None
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
        parts.append(
            table(
                ("", "CENTRE", "QUEUE", "STARTS USUALLY IN", "9 OF 10 WITHIN", "FROM", "AT MOST", "DATA"),
                [_row(offer) for offer in good],
            )
        )
    if best:
        parts.append(
            f"* recommended: {visible(best['centre'], 40)}, queue {visible(best['queue'], 40)}: {_why(best['reasons'])}"
        )
    if not good:
        parts.append("no centre can serve this request as it is")
    if bad:
        rows = [(o["centre"], o["queue"], f["message"], _help(f.get("fix"))) for o in bad for f in o["faults"]]
        parts.append(table(("CENTRE", "QUEUE", "DOES NOT FIT", "WHAT WOULD HELP"), rows, 90))
    return "\n\n".join(parts)


def _row(offer: Mapping[str, Any]) -> Sequence[object]:
    start = offer["start"]
    first, third = start["middle"]
    data = [*offer["data"], *(f"no {name}" for name in offer["data_missing"])]
    mark = "*" if offer["recommended"] else ""
    silent = " (silent)" if offer.get("unknown_since") else ""
    usual, most = span(first, third), span(start["low"], start["high"])
    price = f"{credits_text(offer['price'])} credits"
    return mark, offer["centre"] + silent, offer["queue"], usual, most, _evidence(start), price, ", ".join(data)


def _evidence(start: Mapping[str, Any]) -> str:
    if start["evidence"] in ("history", "both"):
        return f"{count_text(start['count'], 'start')} in {count_text(start['days'], 'day')}"
    return "what the centre says" if start["evidence"] == "centre" else "nothing known yet"


def span(low: int, high: int) -> str:
    """A range of seconds in words: "2-10 min", "5 min-4 h"."""
    (first, unit), (last, last_unit) = _amount(low), _amount(high)
    if first == last and unit == last_unit:
        return f"{last} {last_unit}"
    return f"{first}-{last} {last_unit}" if first == "0" or unit == last_unit else f"{first} {unit}-{last} {last_unit}"


def _amount(seconds: int) -> tuple[str, str]:
    size, unit = next((one for one in _UNITS if seconds >= 2 * one[0]), _UNITS[-1])
    return f"{seconds / size:.{1 if size > 60 else 0}f}".removesuffix(".0"), unit


def _why(reasons: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(_reason(str(reason["code"]), reason["values"]) for reason in reasons)


def _reason(code: str, values: Mapping[str, Any]) -> str:
    if code == "data-here":
        return f"has {visible(', '.join(values['data']), 200)}"
    return _REASONS.get(code, visible(code, 40))


def _help(fix: Mapping[str, Any] | None) -> str:
    if fix is None:
        return "another queue or centre"
    return f"ask for at most {_IN_WORDS[fix['field']](fix['value'])}"
