"""What the API answers, as a person reads it in a terminal: amounts, ranges of time, faults, and words for codes.

In English amounts are those of `perijove.spawners.units`, faults are the API's own messages and codes stay codes, which
one can look for. Other languages have the words of the pages; these are loaded for them alone, as they take a third of
a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from perijove.hub.cli.words import N_, _
from perijove.spawners.units import count_text, memory_text, time_text
from perijove.spawners.visible import visible

if TYPE_CHECKING:
    from perijove.hub.pages.formats import Formats

_AMOUNTS = {
    "cores": lambda n: count_text(n, "core"),
    "memory": memory_text,
    "gpus": lambda n: count_text(n, "GPU"),
    "walltime": time_text,
}
_UNITS = ((86400, N_("{n} d")), (3600, N_("{n} h")), (60, N_("{n} min")), (1, N_("{n} s")))


def _formats() -> Formats | None:
    """The pages' formats of the terminal's language; None for English."""
    from perijove.hub.languages import of_environment

    language = of_environment()
    if not language.words:
        return None
    from perijove.hub.pages.formats import Formats

    return Formats(language)


def amount(field: str, value: int) -> str:
    """So much of a field of a request: "4 cores", "8 GiB", "2 hours". Raises KeyError for a field that has none."""
    english = _AMOUNTS[field]
    return formats.amount(field, value) if (formats := _formats()) else english(value)


def fault(said: Mapping[str, Any]) -> str:
    """What a fault of the API says. Raises KeyError or TypeError where it is none."""
    if not (formats := _formats()):
        return str(said["message"])
    if not isinstance(said["values"], dict):
        raise TypeError
    return formats.fault(said)


def refusal(said: Mapping[str, Any]) -> str:
    """What an error of the API says: its faults in the terminal's language, or its message where it names none."""
    message, faults = str(said.get("message", "")), said.get("faults")
    if not _formats() or not isinstance(faults, list):
        return message
    try:
        return joined(f"{one['field']}: {fault(one)}".removeprefix(": ") for one in faults) or message
    except (KeyError, TypeError):
        return message


def joined(parts: Iterable[str]) -> str:
    """Some words in a row."""
    return formats.commas(list(parts)) if (formats := _formats()) else "; ".join(parts)


def stage(code: str) -> str:
    """How far a session is."""
    if not (formats := _formats()):
        return code
    from perijove.hub.pages.words import STAGES

    return formats.language.gettext(STAGES[code].words) if code in STAGES else code


def reason(code: str) -> str:
    """Why a session waits, or how it ended; "" where there is nothing to say."""
    if not code or not (formats := _formats()):
        return code
    from perijove.hub.pages.words import REASONS

    return formats.language.gettext(REASONS[code].short) if code in REASONS else code


def worker_state(code: str) -> str:
    """How a worker of a Dask cluster is."""
    if not (formats := _formats()):
        return code
    words = {"requested": N_("requested"), "queued": N_("queued"), "running": N_("running"), "lost": N_("lost")}
    words |= {"ended": N_("ended"), "unknown": N_("the centre does not answer")}
    return formats.language.gettext(words[code]) if code in words else code


def run_state(code: str) -> str:
    """How a run of an app, or a step of it, is."""
    if not (formats := _formats()):
        return code
    words = {"starting": N_("starting"), "running": N_("running"), "done": N_("done"), "failed": N_("failed")}
    words |= {"cancelled": N_("cancelled"), "interrupted": N_("interrupted"), "waiting": N_("waiting")}
    words |= {"kept": N_("kept")}
    return formats.language.gettext(words[code]) if code in words else code


def money(micro: int) -> str:
    """Micro-credits as credits: "16.00 credits"."""
    return formats.money(micro) if (formats := _formats()) else f"{micro / 1_000_000:,.2f} credits"


def event(said: Mapping[str, Any]) -> str:
    """What happened to a session."""
    code, values = str(said.get("code") or ""), said.get("values")
    message = str(said.get("message") or code)
    if not (formats := _formats()) or not isinstance(values, dict):
        return message
    from perijove.hub.broker import events

    if code not in events.MESSAGES:  # of a newer broker
        return message
    words = {key: reason(str(values[key])) for key in ("reason", "outcome") if key in values}
    return events.message(code, values | words, formats.language.gettext)


def problem(code: str, detail: str) -> str:
    """Why a centre does not answer, and what its login node said."""
    if formats := _formats():
        from perijove.hub.pages.operatorwords import PROBLEMS

        if code in PROBLEMS:
            return f"{formats.language.gettext(PROBLEMS[code].sentence)} {detail}"
    return f"{code}: {detail}"


def span(low: int, high: int) -> str:
    """A range of seconds: "2-10 min", "5 min-4 h"."""
    (first, unit), (last, last_unit) = _rounded(low), _rounded(high)
    if first == last and unit == last_unit:
        return _(unit).format(n=last)
    if first == "0" or unit == last_unit:
        return _(last_unit).format(n=f"{first}-{last}")
    return f"{_(unit).format(n=first)}-{_(last_unit).format(n=last)}"


def _rounded(seconds: int) -> tuple[str, str]:
    size, unit = next((one for one in _UNITS if seconds >= 2 * one[0]), _UNITS[-1])
    return f"{seconds / size:.{1 if size > 60 else 0}f}".removesuffix(".0"), unit


def no_such_centre(name: str, known: Mapping[str, object]) -> str:
    """That there is no centre `name`, with the one that was probably meant, or all."""
    from perijove.spawners.centrefaults import nearest

    if near := nearest(name, known):
        words = _("there is no centre '{name}'; did you mean '{near}'?")
        return words.format(name=visible(name, 40), near=near)
    words = _("there is no centre '{name}'; there are: {names}")
    return words.format(name=visible(name, 40), names=", ".join(sorted(known)))
