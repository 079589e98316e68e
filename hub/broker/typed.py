"""What the API takes of text and times: nothing that no store can keep and no arithmetic can carry."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime

#: The years of which anybody can mean one.
FIRST_YEAR, LAST_YEAR = 1970, 2999
#: The largest number that the store has.
LARGEST = 2**63 - 1
When = TypeVar("When", bound=date)


def _near(when: When) -> When:
    if not FIRST_YEAR < when.year < LAST_YEAR:
        raise ValueError(f"a time after {FIRST_YEAR} and before {LAST_YEAR} is wanted")
    return when


def _clean(text: str) -> str:
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text):
        raise ValueError("control characters cannot be kept")
    return text


Moment = Annotated[AwareDatetime, AfterValidator(_near)]
Day = Annotated[date, AfterValidator(_near)]
Text = Annotated[str, AfterValidator(_clean)]

__all__ = ["FIRST_YEAR", "LARGEST", "LAST_YEAR", "Day", "Moment", "Text"]
