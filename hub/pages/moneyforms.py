"""What is typed into the forms of money: credits and days. Pure; a fault is a refusal as the API's own are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

from perijove.hub.pages.api import Json, Refused
from perijove.spawners.units import credits_from

#: Digits in groups of three.
GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")


def credits_of(form: Mapping[str, str], field: str, *, needed: bool = True) -> int | None:
    """Micro-credits from a field; None for an empty one that is not `needed`.

    Raises:
        Refused: it is no amount of credits.
    """
    text = form.get(field, "").strip().replace("，", ",")
    if not text and not needed:
        return None
    try:
        # "1,000" is a thousand; "1,5" may be meant for one and a half, and is no amount.
        amount = credits_from(text.replace(",", "")) if "," not in text or GROUPED.fullmatch(text) else -1
    except ValueError:
        amount = -1
    if amount < 0:
        raise Refused(400, "amount", "", [{"field": field, "code": "wrong-credits" if text else "missing"}])
    return amount


def day_of(form: Mapping[str, str], field: str) -> str | None:
    """The beginning of a day (UTC) as ISO text; None for an empty field.

    Raises:
        Refused: it is no day.
    """
    text = form.get(field, "").strip()
    try:
        return f"{date.fromisoformat(text).isoformat()}T00:00:00+00:00" if text else None
    except ValueError:
        raise Refused(400, "day", "", [{"field": field, "code": "wrong-day"}]) from None


def by_field(faults: Sequence[Json], fields: Sequence[str]) -> dict[str, list[Json]]:
    """Faults by the fields of a form; those of anything else under "", for the top of the page."""
    found: dict[str, list[Json]] = {}
    for fault in faults:
        name = str(fault.get("field") or "")
        found.setdefault(name if name in fields else "", []).append(fault)
    return found
