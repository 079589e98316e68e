"""Reading what batch systems print, for all of them: failures, times, JSON and XML of machines we do not control.

Nothing here raises anything but `BatchError`, whatever the text is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from perijove.spawners.batch import encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, Output

_NOT_ALLOWED = ("permission denied", "not authorized", "unauthorized request", "not owner", "must be manager")
_DEPTH = 200  # nesting beyond which JSON is not data but an attack on the parser's stack


def failure(output: Output, otherwise: BatchProblem, unavailable: Iterable[str]) -> BatchError:
    """The error of a command that failed: UNAVAILABLE if its words are among those, NOT_ALLOWED, or `otherwise`."""
    said = output.stderr[:65536] + "\n" + output.stdout[:2000]
    words = encoding.plain(said, 2000) or f"exit status {output.status}"
    low = said.lower()
    if any(pattern in low for pattern in unavailable):
        return BatchError(BatchProblem.UNAVAILABLE, words)
    if otherwise is not BatchProblem.REFUSED and any(pattern in low for pattern in _NOT_ALLOWED):
        return BatchError(BatchProblem.NOT_ALLOWED, words)
    return BatchError(otherwise, words)


def unreadable(text: str) -> BatchError:
    """The error of an answer that is not of the form it should have."""
    return BatchError(BatchProblem.UNREADABLE, encoding.plain(text) or "no answer")


def epoch(value: object, *, unit: int = 1) -> datetime | None:
    """The time that a count of seconds (`unit` 1) or milliseconds (1000) since 1970 is; None for 0 and nonsense."""
    count = encoding.number(value)
    if count is None and isinstance(value, float) and 0 < value < 2**33:
        count = int(value)
    return datetime.fromtimestamp(count / unit, UTC) if count and 0 < count / unit < 2**33 else None


def calendar(text: object, *forms: str) -> datetime | None:
    """The time (UTC, for so the launcher asks) that `text` is in a `strptime` form, or in seconds; or None."""
    if not isinstance(text, str) or len(text) > 64:
        return None
    return _calendar(text, forms)


@lru_cache(4096)  # thousands of jobs share a few times, and `strptime` is most of what reading a row costs
def _calendar(text: str, forms: tuple[str, ...]) -> datetime | None:
    if text.strip().isascii() and text.strip().isdigit():
        return epoch(text)
    for form in forms:
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def seconds(text: object) -> int | None:
    """Seconds in "[d-]h:m:s", "m:s" or a whole number; None for anything else."""
    if (count := encoding.number(text)) is not None:
        return count
    match = re.fullmatch(r"(?:(\d{1,5})-)?(?:(\d{1,6}):)?(\d{1,5}):(\d{1,2})", str(text).strip()[:40], re.ASCII)
    if not match:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def from_json(text: str) -> Any:
    """The value that `text` is. Raises BatchError."""
    if text.count("[") + text.count("{") > _DEPTH and _deep(text):
        raise unreadable(text)
    try:
        return json.loads(text, parse_int=_integer, object_pairs_hook=_once, strict=False)
    except (ValueError, RecursionError):
        raise unreadable(text) from None


def _deep(text: str) -> bool:
    depth = 0
    for mark in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += 1 if mark in "[{" else -1 if mark in "]}" else 0
        if depth > _DEPTH:
            return True
    return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that comes twice was forged by somebody's text: which of the two is true cannot be known."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < 20 else 0


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """The mappings in a list, or among the values of a mapping; none for anything else."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from (item for item in items if isinstance(item, dict))


def from_xml(text: str) -> ElementTree.Element:
    """The root of the document `text`. A document type is refused: no batch system has one, only attacks do.

    Raises BatchError.
    """
    clean = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)
    if "<!DOCTYPE" in clean or "<!ENTITY" in clean:
        raise unreadable(text)
    try:
        return ElementTree.fromstring(clean)  # noqa: S314 - no document type, so no entities to expand
    except (ElementTree.ParseError, ValueError):
        raise unreadable(text) from None
