"""Amounts, results and agreements of runs in words: the figures of a run's page. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from babel.numbers import format_decimal
from perijove.hub.pages.appwords import VERDICTS
from perijove.hub.pages.formats import Formats, clock
from perijove.hub.pages.inputs import plain
from perijove.hub.pages.views import text_in

Json = Mapping[str, Any]
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def size(fmt: Formats, many: float) -> str:
    """Bytes in words."""
    for unit, one in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if many >= one:
            return f"{format_decimal(many / one, format='#,##0.#', locale=fmt.language.locale)} {unit}"
    return fmt.language.gettext("{n} bytes").format(n=fmt.number(many))


def figure(fmt: Formats, value: Any) -> str:
    """A result: four digits that matter."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)[:200]
    if isinstance(value, int):
        return (
            str(value) if abs(value) < 10_000 else format_decimal(value, locale=fmt.language.locale)
        )  # 1860 is a year
    if not math.isfinite(value):
        return "–"
    if value and not 1e-3 <= abs(value) < 1e7:
        digits, _, power = f"{value:.3e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')} × 10{str(int(power)).translate(_RAISED)}"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 1
    return format_decimal(value, format="#,##0." + "#" * max(0, 4 - whole), locale=fmt.language.locale)


def took(fmt: Formats, seconds: Any) -> str:
    """How long a step took: 0.4 s, 12 s, 3:25 min as h:mm:ss."""
    if not isinstance(seconds, int | float):
        return ""
    if seconds < 60:
        return f"{format_decimal(seconds, format='0.#' if seconds < 10 else '0', locale=fmt.language.locale)} s"
    return clock(seconds)


def percent(part: Any) -> int:
    """A part of 1 in whole per cent."""
    return min(100, max(0, int(100 * part))) if isinstance(part, int | float) else 0


def plain_words(value: Any) -> str:
    """An input's value where its app is not known."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(one) for one in value)
    return plain(value) or "–"


def short(fmt: Formats, value: Any) -> str:
    """A value to hold against another; of a checksum the first characters."""
    if isinstance(value, str) and len(value) == 64:
        return f"{value[:10]}…"
    if isinstance(value, float):
        return f"{value:.8g}"
    return figure(fmt, value)


def tolerance(fmt: Formats, allowed: Any) -> str:
    """What a difference may be: a part of the value, an amount, or either."""
    parts = allowed if isinstance(allowed, Mapping) else {"relative": allowed}
    words = []
    if isinstance(part := parts.get("relative"), int | float) and part:
        words.append(f"± {plain(float(part) * 100)} %")
    if isinstance(amount := parts.get("absolute"), int | float) and amount:
        words.append(f"± {plain(amount)}")
    return " / ".join(words) or fmt.language.gettext("none")


def agreement(found: Any, fmt: Formats) -> Json | None:
    """How two runs agree, for a template; None if nobody compared them."""
    if not isinstance(found, Mapping):
        return None
    rows = [
        {
            "title": text_in(row.get("title"), fmt.language) or str(row.get("name") or ""),
            "here": short(fmt, row.get("here")),
            "there": short(fmt, row.get("there")),
            "tolerance": tolerance(fmt, row.get("tolerance")),
            "agrees": row.get("agrees"),
        }
        for row in found.get("rows") or ()
    ]
    return {"look": VERDICTS.get(str(found.get("verdict")), VERDICTS["unknown"]), "rows": rows}
