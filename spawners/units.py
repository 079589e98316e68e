"""Memory, time and money as people write them, and as the code counts them: MiB, seconds, micro-credits."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation, Overflow

_MEMORY = re.compile(r"^\s*(\d{1,12}(?:\.\d{1,3})?)\s*([KMGTP]?)(?:i?B)?\s*$", re.IGNORECASE | re.ASCII)
_MIB = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}
_TIME = re.compile(r"^\s*(\d{1,9}(?:\.\d{1,3})?)\s*(s|m|min|h|d|w)?\s*$", re.IGNORECASE | re.ASCII)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_CLOCK = re.compile(r"^\s*(?:(\d{1,4})-)?(\d{1,5}):(\d{2})(?::(\d{2}))?\s*$", re.ASCII)


def memory_from(value: object) -> int:
    """MiB from a number of MiB or a text such as "512M", "4G", "1.5 TiB"; at least what was asked, never less.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _MEMORY.match(value) if isinstance(value, str) else None
    if not match:
        raise ValueError('memory is a number of MiB or a text such as "512M" or "4G"')
    return -int(-float(match[1]) * _MIB[match[2].upper()] // 1)


def time_from(value: object) -> int:
    """Seconds from a number of seconds or a text: "90m", "2h", "3d", "1:30:00" (h:m:s), "1-12:00" (d-h:m).

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if match := _TIME.match(value):
            return int(float(match[1]) * _SECONDS[(match[2] or "s").lower()])
        if match := _CLOCK.match(value):
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    raise ValueError('time is a number of seconds or a text such as "90m", "2h", "3d" or "1:30:00"')


def credits_from(value: object) -> int:
    """Micro-credits from credits as a decimal number or text; binary fractions do not round a price.

    Raises:
        ValueError: for anything that is not a finite number of at most six decimal places.
    """
    amount = Decimal("NaN")
    if isinstance(value, int | float | str | Decimal) and not isinstance(value, bool):
        try:
            text = str(value)
            amount = Decimal(text) * 1_000_000 if len(text) <= 40 else amount
        except (InvalidOperation, Overflow, ValueError):  # ValueError: an int of thousands of digits has no text
            pass
    if not amount.is_finite() or abs(amount) >= 10**24 or amount != amount.to_integral_value():
        raise ValueError('a price is a number of credits with at most six decimal places, such as "0.12"')
    return int(amount)


def memory_text(mib: int) -> str:
    """MiB in words, exact, and fit for `memory_from`: "64 GiB", "1536 MiB"."""
    for unit, size in (("PiB", 1024**3), ("TiB", 1024**2), ("GiB", 1024)):
        if mib >= size and mib % size == 0:
            return f"{mib // size} {unit}"
    return f"{mib} MiB"


def time_text(seconds: int) -> str:
    """Seconds in words, exact: "2 days", "90 minutes", "1 hour"."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return count_text(seconds // size, unit)
    return count_text(seconds, "second")


def credits_text(micro: int) -> str:
    """Micro-credits as credits, exact, without needless zeros: "0.12"."""
    whole, rest = divmod(abs(micro), 1_000_000)
    text = f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
    return f"-{text}" if micro < 0 else text


def count_text(number: int, noun: str) -> str:
    """A number of things in words: "1 core", "128 cores"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
