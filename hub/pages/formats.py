"""Amounts, times and money as a person of a language writes them. Units in: MiB, seconds, micro-credits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from babel.dates import format_date, format_datetime, format_timedelta
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent
from perijove.hub.pages.languages import Language
from perijove.hub.pages.words import FAULTS, N_, OTHER_FAULT
from perijove.spawners.apps.inputwords import WORDS, words
from perijove.spawners.request import Fault

#: Short units for forecasts and waits: what a person says of a time that is not exact.
BRIEF = ((86400, N_("{n} d")), (3600, N_("{n} h")), (60, N_("{n} min")))
#: Characters of a text in a fault: as many as a drain's note may have.
LONGEST = 500
Unit = Literal["day", "hour", "minute", "second"]
UNITS: tuple[tuple[Unit, int], ...] = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def moment(value: object) -> datetime | None:
    """An aware time from the API's ISO text; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss, which reads the same in every language."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of one language."""

    language: Language

    def number(self, value: float) -> str:
        """A number with at most two decimals."""
        return format_decimal(value, format="#,##0.##", locale=self.language.locale)

    def memory(self, mib: int) -> str:
        """An amount of memory."""
        for unit, size in (("PiB", 1024**3), ("TiB", 1024**2), ("GiB", 1024)):
            if mib >= size:
                return f"{self.number(mib / size)} {unit}"
        return f"{self.number(mib)} MiB"

    def amount(self, field: str, value: int) -> str:
        """So much of what a field of a request asks for: "4 cores", "16 GiB", "2 hours"."""
        ngettext = self.language.ngettext
        if field == "memory":
            return self.memory(value)
        if field == "walltime":
            return self.duration(value)
        if field == "gpus":
            return ngettext("{count} GPU", "{count} GPUs", value).format(count=self.number(value))
        return ngettext("{count} core", "{count} cores", value).format(count=self.number(value))

    def resources(self, data: Mapping[str, Any]) -> str:
        """What a session has: "4 cores, 16 GiB, 2 hours"."""
        fields = [name for name in ("cores", "memory", "gpus", "walltime") if name != "gpus" or data.get("gpus")]
        return self.commas([self.amount(name, int(data.get(name) or 0)) for name in fields])

    def commas(self, parts: Sequence[str]) -> str:
        """Some things in a row, without "and"."""
        return ("，" if self.language.code == "zh" else ", ").join(parts)

    def sentences(self, parts: Sequence[str]) -> str:
        """Sentences one after the other; Chinese has no space between them."""
        return ("" if self.language.code == "zh" else " ").join(part for part in parts if part)

    def duration(self, seconds: int) -> str:
        """A length of time in whole units, e.g. "1 day 12 hours"; at most two units."""
        parts: list[str] = []
        rest = max(0, int(seconds))
        for unit, size in UNITS:
            if rest >= size and len(parts) < 2:
                parts.append(self._whole(rest // size * size, unit))
                rest %= size
        return " ".join(parts) or self._whole(0, "minute")

    def brief(self, seconds: float) -> str:
        """About how long, in one unit: "10 min", "2.5 h", "3 d"; never less than a minute."""
        size, number = _rounded(seconds)
        return self._brief(number, size)

    def reach(self, low: float, high: float) -> str:
        """From `low` to `high` seconds, e.g. "2–10 min", "40 min – 3 h"; "within 5 min" where it may be at once."""
        if low < 60:
            return self.language.gettext("within {time}").format(time=self.brief(high))
        (size, first), (other, last) = _rounded(low), _rounded(high)
        if (size, first) == (other, last):
            return self.language.gettext("about {time}").format(time=self.brief(high))
        if size == other:
            return self._brief(last, size, f"{self.number(first)}–")
        return f"{self._brief(first, size)} – {self._brief(last, other)}"

    def _brief(self, number: float, size: int, before: str = "") -> str:
        return self.language.gettext(dict(BRIEF)[size]).format(n=before + self.number(number))

    def listed(self, parts: Sequence[str]) -> str:
        """Some things in one line: "a, b and c"."""
        return format_list(list(parts), style="standard", locale=self.language.locale)

    def percent(self, part: float) -> str:
        """A share of 1 in whole per cent."""
        return format_percent(part, locale=self.language.locale)

    def _whole(self, seconds: int, unit: Unit) -> str:
        return format_timedelta(seconds, granularity=unit, threshold=10**9, locale=self.language.locale)

    def credit(self, micro: int) -> str:
        """How many credits, with as many decimals as matter."""
        credit = micro / 1_000_000
        pattern = "#,##0.00" if credit == 0 or credit >= 0.01 else "#,##0.0000"
        return format_decimal(credit, format=pattern, locale=self.language.locale)

    def price(self, micro: int) -> str:
        """Credits to the last digit that matters, at least two."""
        return format_decimal(Decimal(micro) / 1_000_000, format="#,##0.00####", locale=self.language.locale)

    def money(self, micro: int) -> str:
        """Credits, with their name."""
        return self.language.gettext("{amount} credits").format(amount=self.credit(micro))

    def money_between(self, low: int, high: int) -> str:
        """From `low` to `high` micro-credits."""
        if self.credit(low) == self.credit(high):
            return self.money(high)
        if low < 50:  # it would be written as nothing
            return self.language.gettext("at most {price}").format(price=self.money(high))
        return self.language.gettext("{low} to {high} credits").format(low=self.credit(low), high=self.credit(high))

    def time(self, value: datetime) -> str:
        """A moment in UTC; the browser replaces it by the person's own time."""
        return format_datetime(value.astimezone(UTC), "medium", locale=self.language.locale) + " UTC"

    def day(self, value: object) -> str:
        """The day (UTC) of a moment or of the API's ISO text; a dash for anything else."""
        found = value if isinstance(value, datetime) else moment(value)
        return format_date(found.astimezone(UTC), "medium", locale=self.language.locale) if found else "–"

    def typed(self, micro: int | None) -> str:
        """Credits as one would type them into a field; "" for none."""
        return "" if micro is None else f"{Decimal(micro) / 1_000_000:f}"

    def fault(self, fault: Mapping[str, Any]) -> str:
        """What is wrong, in the person's language."""
        code, field = str(fault.get("code", "")), str(fault.get("field", ""))
        text = FAULTS.get(f"{code}-{field}") or FAULTS.get(code)
        values = self._values(field, fault.get("values") or {})
        if text:
            try:
                return self.language.gettext(text).format_map(values).strip()
            except (KeyError, IndexError, ValueError):
                pass
        return self.language.gettext(OTHER_FAULT).format(message=str(fault.get("message", code))[:500])

    def input_fault(self, fault: Mapping[str, Any]) -> str:
        """What is wrong with an input of an app, in the person's language."""
        code, values = str(fault.get("code", "")), dict(fault.get("values") or {})
        if code not in WORDS:
            return self.fault(fault)
        return words(Fault("", code, str(fault.get("message", ""))[:LONGEST], values), self.language.tag)

    def run_time(self, seconds: float) -> str:
        """About how long a run takes: below a minute in seconds, by fives."""
        time = self.duration(max(1, round(seconds / 5) * 5)) if seconds < 55 else self.brief(seconds)
        return self.language.gettext("about {time}").format(time=time)

    def _values(self, field: str, values: Mapping[str, Any]) -> dict[str, str]:
        """The values of a fault in the units of its field; texts are cut, templates turn them into harmless HTML."""
        unit = {"memory": self.memory, "walltime": self.duration, "budget": self.money}.get(field)
        words = {}
        for key, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                words[key] = unit(int(value)) if unit else self.number(value)
            elif key == "who":
                nobody = self.language.gettext("an operator of the gateway")
                words[key] = self.listed([str(name) for name in value][:5]) if value else nobody
            elif key in ("start", "end") and (when := moment(value)):
                words[key] = self.time(when)
            else:
                words[key] = str(value)[:LONGEST]
        return words


def _rounded(seconds: float) -> tuple[int, float]:
    """The unit (seconds) and how many of it: whole ones, but for halves of a few hours or days."""
    for size, least in ((86400, 36 * 3600), (3600, 90 * 60)):
        if seconds >= least or (seconds and seconds % size == 0):
            many = seconds / size
            return size, round(many * 2) / 2 if many < 5 else float(round(many))
    return 60, float(max(1, round(seconds / 60)))
