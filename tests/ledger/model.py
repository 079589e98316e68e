"""What the ledger should say, the plain way: a few dictionaries, no journal, no accounts, no sums kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Grant:
    budget: str
    amount: int
    left: int
    starts: datetime
    ends: datetime | None
    withdrawn: bool = False

    def live(self, now: datetime) -> bool:
        return self.starts <= now and not self.over(now)

    def over(self, now: datetime) -> bool:
        return self.withdrawn or (self.ends is not None and self.ends <= now)


@dataclass
class Hold:
    budget: str
    person: str
    centre: str
    amount: int
    count: int
    #: What lies in it, by grant (0: the gateway's), in the order in which it is spent; and what was spent.
    inside: dict[int, int]
    given: dict[int, int]
    spent: dict[int, int] = field(default_factory=dict)
    absorbed: dict[str, int] = field(default_factory=dict)
    charged: dict[str, int] = field(default_factory=dict)
    state: str = "open"

    @property
    def open(self) -> int:
        return sum(self.inside.values())

    @property
    def total(self) -> int:
        return sum(self.charged.values())

    @property
    def extra(self) -> int:
        return sum(self.absorbed.values())


@dataclass
class Model:
    now: datetime
    grants: dict[int, Grant] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    limits: dict[tuple[str, str, str], int] = field(default_factory=dict)
    gone: set[tuple[str, str]] = field(default_factory=set)

    def live(self, budget: str) -> list[int]:
        """The grants that can be spent now, the first to end first."""
        found = [number for number, one in self.grants.items() if one.budget == budget and one.live(self.now)]
        return sorted(found, key=lambda number: (str(self.grants[number].ends or "9"), number))

    def available(self, budget: str) -> int:
        return sum(self.grants[number].left for number in self.live(budget))

    def used(self, budget: str, person: str = "", centre: str = "") -> int:
        return sum(
            hold.open + hold.total
            for hold in self.holds.values()
            if hold.budget == budget and person in ("", hold.person) and centre in ("", hold.centre)
        )

    def refusal(self, budget: str, person: str, centre: str, amount: int, enforce: bool) -> str:
        """The name of what a hold is refused with."""
        if (budget, person) in self.gone:
            return "NotMember"
        if not enforce:
            return ""
        for who, where in ((person, ""), (person, centre), ("", centre)):
            limit = self.limits.get((budget, who, where))
            if amount and limit is not None and self.used(budget, who, where) + amount > limit:
                return "LimitReached"
        return "Insufficient" if self.available(budget) < amount else ""

    def hold(self, name: str, budget: str, person: str, centre: str, amount: int, count: int) -> None:
        inside, wanted = {}, amount
        for number in self.live(budget):
            inside[number] = min(wanted, self.grants[number].left)
            self.grants[number].left -= inside[number]
            wanted -= inside[number]
        inside[0] = wanted
        self.holds[name] = Hold(budget, person, centre, amount, count, inside, dict(inside))

    def settle(self, name: str, part: str, charge: int) -> None:
        hold = self.holds[name]
        if hold.state == "settled" or part in hold.charged:
            return
        done = len(hold.charged)
        if part:
            share = min(hold.open, hold.amount * (done + 1) // hold.count - hold.amount * done // hold.count)
        else:
            share = hold.open
        paid = min(charge, share)
        self.spend(hold, paid)
        hold.charged[part], hold.absorbed[part] = paid, charge - paid
        last = not part or done + 1 == hold.count
        self.give_back(hold, hold.open if last else share - paid)
        if last:
            hold.state = "settled"

    def spend(self, hold: Hold, amount: int) -> None:
        for number in hold.inside:
            take = min(hold.inside[number], amount)
            hold.inside[number] -= take
            hold.spent[number] = hold.spent.get(number, 0) + take
            amount -= take

    def give_back(self, hold: Hold, amount: int) -> None:
        for number in reversed(hold.inside):
            take = min(hold.inside[number], amount)
            hold.inside[number] -= take
            if number:
                self.grants[number].left += take
            amount -= take

    def cost(self, name: str, part: str | None) -> int:
        hold = self.holds[name]
        return hold.total + hold.extra if part is None else hold.charged.get(part, 0) + hold.absorbed.get(part, 0)

    def least(self, name: str, part: str | None) -> int:
        """The least that it can be corrected to: no more can be given back than was paid, and stands."""
        hold = self.holds[name]
        mine = hold.extra if part is None else max(0, hold.absorbed.get(part, 0))
        return max(0, self.cost(name, part) - hold.total - min(mine, hold.extra))

    def adjust(self, name: str, part: str | None, charge: int) -> None:
        hold, now = self.holds[name], self.cost(name, part)
        for _ in range(charge - now):
            self.one_more(hold, part or "")
        for _ in range(now - charge):
            self.one_less(hold, part)

    def one_more(self, hold: Hold, part: str) -> None:
        """One micro-credit more, from the first of its own grants that has one, else from the gateway."""
        for number in hold.inside:
            if hold.given[number] and (number == 0 or self.has(number)):
                if number:
                    self.grants[number].left -= 1
                hold.spent[number] = hold.spent.get(number, 0) + 1
                hold.charged[part] = hold.charged.get(part, 0) + 1
                return
        hold.absorbed[part] = hold.absorbed.get(part, 0) + 1

    def has(self, number: int) -> bool:
        return self.grants[number].live(self.now) and self.grants[number].left > 0

    def one_less(self, hold: Hold, part: str | None) -> None:
        """One micro-credit less: first of what the gateway paid, then of what was taken last."""
        mine = part if part is not None else ""
        paid = hold.extra if part is None else hold.absorbed.get(part, 0)
        if min(paid, hold.extra) > 0:
            hold.absorbed[mine] = hold.absorbed.get(mine, 0) - 1
            return
        hold.charged[mine] = hold.charged.get(mine, 0) - 1
        for number in reversed(hold.inside):
            if hold.spent.get(number, 0) > 0:
                hold.spent[number] -= 1
                if number:
                    self.grants[number].left += 1
                return
