"""How a sum is taken from, and given back to, the grants that share a hold. Pure: no I/O.

Parts stand in the order in which they were taken: of the grant that ends first before the others. What is charged
comes from the front, and what goes back goes to the rear, so that money that would end soon is spent first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from perijove.hub.ledger.records import Part


def charged(parts: Sequence[Part], amount: int) -> tuple[Part, ...]:
    """After `amount` of what is open went to the centre."""
    after = []
    for part in parts:
        take = min(part.open, amount)
        amount -= take
        after.append(replace(part, open=part.open - take, charged=part.charged + take))
    return tuple(after)


def released(parts: Sequence[Part], amount: int) -> tuple[Part, ...]:
    """After `amount` of what is open went back."""
    after = []
    for part in reversed(parts):
        take = min(part.open, amount)
        amount -= take
        after.append(replace(part, open=part.open - take))
    return tuple(reversed(after))


def uncharged(parts: Sequence[Part], amount: int) -> tuple[Part, ...]:
    """After `amount` of what was charged was given back."""
    after = []
    for part in reversed(parts):
        take = min(part.charged, amount)
        amount -= take
        after.append(replace(part, charged=part.charged - take))
    return tuple(reversed(after))


def by_account(before: Iterable[Part], after: Iterable[Part], name: str) -> dict[int, int]:
    """By how much `name` (`open` or `charged`) fell, by the account of each part."""
    moves: dict[int, int] = {}
    for one, other in zip(before, after, strict=True):
        if fell := getattr(one, name) - getattr(other, name):
            moves[one.account] = moves.get(one.account, 0) + fell
    return moves


__all__ = ["by_account", "charged", "released", "uncharged"]
