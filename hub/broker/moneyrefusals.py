"""What the ledger refuses, in the API's words: a code, an English sentence, and the values for another language.

Each is a fault of the request's field `budget` as well, so that whoever shows faults by field shows these, too. Money
in `values` is micro-credits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.views import fault_view
from perijove.hub.ledger.budgets import LastManager, Taken
from perijove.hub.ledger.records import Closed, Insufficient, LedgerError, LimitReached, NoBudget, NotMember, TooDear
from perijove.spawners.request import Fault
from perijove.spawners.units import credits_text

OPERATORS = "an operator of the gateway"


def refusal(error: LedgerError) -> Refusal:  # noqa: PLR0911 - one for each
    """The answer to a request that the ledger refuses."""
    match error:
        case Insufficient():
            return _of(_balance(error), _values(error, "budget", "needed", "available", "missing", "who"))
        case LimitReached():
            keys = ("budget", "person", "centre", "limit", "used", "needed", "missing")
            return _of(_limit(error), _values(error, *keys))
        case NotMember():
            words = f"{error.person} is no member of {error.budget}: ask whoever manages it"
            return _of(Refusal(403, "not-member", words), {"budget": error.budget, "person": error.person})
        case Closed():
            words = f"{error.budget} is closed: nothing more can be spent of it"
            return _of(Refusal(409, "budget-closed", words), {"budget": error.budget})
        case NoBudget():
            return _of(Refusal(404, "no-budget", "there is no such budget"), {"budget": error.budget})
        case TooDear():
            most, needed = credits_text(error.most), credits_text(error.needed)
            words = f"this may cost up to {needed} credits, and no more than {most} can be on hold for one thing"
            return _of(Refusal(400, "too-dear", words), _values(error, "budget", "needed", "most"))
        case Taken():
            words = "there is a project or a course of this name already; choose another one"
            return _of(Refusal(409, "project-exists", words), {"budget": error.budget})
        case LastManager():
            words = f"{error.person} is the last who manages {error.budget}: name another manager first"
            return _of(Refusal(409, "last-manager", words), {"budget": error.budget, "person": error.person})
    return _of(Refusal(409, "ledger", "the ledger refuses this"), {})


def _values(error: LedgerError, *keys: str) -> dict[str, Any]:
    return {key: list(value) if isinstance(value := getattr(error, key), tuple) else value for key in keys}


def _balance(error: Insufficient) -> Refusal:
    numbers = (credits_text(number) for number in (error.needed, error.available, error.missing))
    needed, available, missing = numbers
    return Refusal(
        409,
        "balance",
        f"this may cost up to {needed} credits, and {error.budget} has {available}: {missing} are missing;"
        f" ask {', '.join(error.who) or OPERATORS}",
    )


def _limit(error: LimitReached) -> Refusal:
    limit, used, needed = (credits_text(number) for number in (error.limit, error.used, error.needed))
    whose = error.person or "all its members together"
    return Refusal(
        409,
        "budget-limit",
        f"{whose} may use {limit} credits of {error.budget}{f' at {error.centre}' if error.centre else ''}:"
        f" {used} are used or on hold, and this may cost {needed}",
    )


def _of(plain: Refusal, values: Mapping[str, Any]) -> Refusal:
    fault = fault_view(Fault("budget", plain.code, plain.message, values))
    return Refusal(plain.status, plain.code, plain.message, [fault], values)


__all__ = ["refusal"]
