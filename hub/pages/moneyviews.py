"""From the API's JSON of budgets and entries to what the pages of money show: balances, statements, plots. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from babel.dates import format_date, format_timedelta
from perijove.hub.pages import charts
from perijove.hub.pages.formats import Formats, moment
from perijove.hub.pages.moneywords import ENTRIES, GATEWAY, OTHER_ENTRY, ROLES
from perijove.hub.pages.views import centre_name
from perijove.hub.pages.words import N_, Words

Json = Mapping[str, Any]
#: The folder of a budget's page by its kind; one's own is at /budget itself.
FOLDERS = {"person": "people", "project": "projects", "course": "courses"}
#: Days that the plot shows, centres that have a colour of their own in it, and the size of its drawing.
DAYS, COLOURS, PLOT = 30, 4, (720.0, 160.0)
#: Beyond this, how long money lasts is no news.
LONG = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class BudgetView:
    """What pays, and how much of it there is. Money in whole micro-credits."""

    data: Json
    fmt: Formats
    #: Who looks at it.
    person: str = ""

    def _sum(self, key: str) -> int:
        return int(self.data.get(key) or 0)

    @property
    def key(self) -> str:
        """Its text: `person:NAME`, `project:SLUG`."""
        return str(self.data.get("key", ""))

    @property
    def kind(self) -> str:
        """person, project or course."""
        return self.key.partition(":")[0]

    @property
    def name(self) -> str:
        """Its key without the kind."""
        return self.key.partition(":")[2]

    @property
    def own(self) -> bool:
        """It is that of whoever looks."""
        return self.kind == "person" and self.name == self.person

    @property
    def title(self) -> str:
        """What people call it."""
        if self.own:
            return self.fmt.language.gettext(N_("My own credits"))
        return str(self.data.get("title") or self.name)

    @property
    def path(self) -> str:
        """Its page, below the root of the pages."""
        return "/budget" if self.own else f"/budget/{FOLDERS.get(self.kind, 'projects')}/{quote(self.name, safe='')}"

    @property
    def available(self) -> int:
        """What can be spent now."""
        return self._sum("available")

    @property
    def held(self) -> int:
        """What is on hold for what runs or waits."""
        return self._sum("held")

    @property
    def spent(self) -> int:
        """What was spent since ever."""
        return self._sum("spent")

    @property
    def burn(self) -> int:
        """What all that runs now costs an hour."""
        return self._sum("burn")

    @property
    def closed(self) -> bool:
        """Nobody may spend it any more."""
        return bool(self.data.get("closed"))

    @property
    def empty(self) -> bool:
        """Nothing can be started with it."""
        return self.available <= 0 or self.closed

    @property
    def manages(self) -> bool:
        """Whoever looks at it says who may spend it."""
        return self.data.get("role") == "manager" and self.kind != "person"

    @property
    def role(self) -> Words | None:
        """What whoever looks at it may do."""
        return ROLES.get(str(self.data.get("role"))) if self.kind != "person" else None

    @property
    def bound(self) -> str:
        """The most that whoever looks may spend of it, and how much of that is gone, in a sentence; "" for no bound."""
        mine: Json = next((one for one in self.data.get("members") or () if one.get("person") == self.person), {})
        if mine.get("limit") is None or self.kind == "person":
            return ""
        gone = self.fmt.credit(int(mine.get("spent") or 0) + int(mine.get("held") or 0))
        words = self.fmt.language.gettext("You yourself may spend at most {limit} of it; {gone} are spent or on hold.")
        return words.format(limit=self.fmt.money(int(mine["limit"])), gone=gone)

    @property
    def has(self) -> str:
        """How much there is, in a sentence."""
        gettext, money = self.fmt.language.gettext, self.fmt.money(max(self.available, 0))
        if self.own:
            return gettext("You have {amount}.").format(amount=money)
        return gettext("{amount} can be spent.").format(amount=money)

    @property
    def on_hold(self) -> str:
        """What the hold means, in a sentence; "" for none."""
        words = N_("Another {amount} are on hold for what runs or waits now; what is not used comes back at the end.")
        return self.fmt.language.gettext(words).format(amount=self.fmt.credit(self.held)) if self.held else ""

    @property
    def lasts(self) -> str:
        """How long the money lasts if all goes on as it does now; "" where nothing runs."""
        if self.burn <= 0:
            return ""
        gettext = self.fmt.language.gettext
        left = timedelta(hours=max(self.available + self.held, 0) / self.burn)
        if left > LONG:
            return gettext("lasts more than a year at this rate")
        if left < timedelta(hours=1):
            return gettext("lasts less than an hour at this rate")
        time = format_timedelta(left, granularity="hour", threshold=1.4, locale=self.fmt.language.locale)
        return gettext("lasts about {time} at this rate").format(time=time)

    @property
    def next_end(self) -> str:
        """When money ends that is not spent by then, in a sentence; "" for never."""
        value = self.data.get("next_end")
        row: Json = value if isinstance(value, Mapping) else {"ends": value}
        ends = moment(row.get("ends"))
        if not ends:
            return ""
        gettext, day = self.fmt.language.gettext, self.fmt.day(ends)
        if row.get("amount") is not None:
            money = self.fmt.money(int(row["amount"]))
            return gettext("{amount} end on {day} if they are not used.").format(amount=money, day=day)
        return gettext("Some of it ends on {day} if it is not used.").format(day=day)

    @property
    def who(self) -> str:
        """Who can help when it is not enough."""
        names = [str(name) for name in self.data.get("who") or () if name != self.person]
        gettext = self.fmt.language.gettext
        if not names:
            return gettext("Ask the operators of this gateway for more.")
        return gettext("Ask {names} for more.").format(names=self.fmt.listed(names[:5]))

    @property
    def bar(self) -> list[tuple[str, float, float]]:
        """Spent, on hold and left as parts of one bar: series, x, width."""
        parts = (self.spent, self.held, max(self.available, 0))
        found = zip(("spent", "held", "left-over"), charts.shares(parts, charts.WIDTH), strict=True)
        return [(name, x, width) for name, (x, width) in found]

    def pays(self, price: int) -> str:
        """What a start that costs at most `price` does to it, in a sentence."""
        gettext, money = self.fmt.language.gettext, self.fmt.money
        if self.closed:
            return gettext("“{title}” is closed: choose what else pays.").format(title=self.title)
        if self.missing(price):
            words = gettext("{amount} are missing: it can cost {price}, and {has} can be spent.")
            text = words.format(amount=money(self.missing(price)), price=self.fmt.credit(price), has=self._has)
            return self.fmt.sentences([text, self.who])
        words = gettext("Holds at most {price} of your {has}; you pay for the time that is used.")
        if not self.own:
            words = gettext("Holds at most {price} of {has} of “{title}”; it pays for the time that is used.")
        return words.format(price=self.fmt.credit(price), has=money(self.available), title=self.title)

    @property
    def _has(self) -> str:
        return self.fmt.credit(max(self.available, 0))

    def missing(self, price: int) -> int:
        """How much it lacks to hold `price`; nothing where the gateway only counts."""
        if not self.data.get("enforce", True):
            return 0
        return max(price - self.available, 0)


@dataclass(frozen=True, slots=True)
class EntryView:
    """A line of a statement."""

    data: Json
    fmt: Formats
    centres: Mapping[str, Json]

    @property
    def time(self) -> datetime | None:
        """When it was booked."""
        return moment(self.data.get("time"))

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.data.get("kind", ""))

    @property
    def words(self) -> str:
        """What it is, in words."""
        gettext = self.fmt.language.gettext
        text = ENTRIES.get(self.kind) or ENTRIES.get(f"{self.kind}-{self.data.get('subject_kind')}") or OTHER_ENTRY
        by = str(self.data.get("by") or "") or gettext(GATEWAY)
        return gettext(text).format(where=self.centre, by=by)

    @property
    def centre(self) -> str:
        """The centre's name."""
        return centre_name(self.data.get("centre"), self.centres, self.fmt.language)

    @property
    def session(self) -> str:
        """The session that it is about; "" for none."""
        return str(self.data.get("subject") or "") if self.data.get("subject_kind") == "session" else ""

    @property
    def job(self) -> str:
        """The job's number at the centre."""
        return str(self.data.get("job_id") or "")

    @property
    def used(self) -> str:
        """What of the machine it was for: "8 core hours"; "" for nothing."""
        fmt, parts = self.fmt, []
        for key, words in (("core_seconds", N_("{n} core hours")), ("gpu_seconds", N_("{n} GPU hours"))):
            seconds = int(self.data.get(key) or 0)
            if seconds:
                parts.append(fmt.language.gettext(words).format(n=fmt.number(seconds / 3600)))
        return fmt.commas(parts)

    @property
    def amount(self) -> int:
        """What it did to the budget: a charge takes, though the money itself left with the hold."""
        charged = int(self.data.get("charged") or 0)
        return -charged if charged or self.kind in ("settle", "adjust") else int(self.data.get("moved") or 0)

    @property
    def money(self) -> str:
        """That, with its sign."""
        return ("+" if self.amount > 0 else "−" if self.amount < 0 else "") + self.fmt.credit(abs(self.amount))


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent a day, by centre, as a plot and as a table."""

    fmt: Formats
    days: tuple[date, ...]
    #: The centres that have a colour, most spent first, and the rest under "" (the last).
    series: tuple[tuple[str, int], ...]
    #: For each day what each series cost.
    values: tuple[tuple[int, ...], ...]

    @property
    def total(self) -> int:
        """All of it."""
        return sum(total for _, total in self.series)

    @property
    def most(self) -> int:
        """The dearest day."""
        return max((sum(row) for row in self.values), default=0)

    @property
    def columns(self) -> list[list[charts.Block]]:
        """The plot."""
        return charts.stacks(self.values, *PLOT)

    @property
    def ticks(self) -> list[str]:
        """The days that stand below it: the first, the middle, the last."""
        return [self.short(self.days[at]) for at in (0, len(self.days) // 2, -1)]

    def short(self, day: date) -> str:
        """A day without its year."""
        return format_date(
            day, "M月d日" if self.fmt.language.code == "zh" else "d MMM", locale=self.fmt.language.locale
        )

    def _long(self, day: date) -> str:
        return format_date(day, "medium", locale=self.fmt.language.locale)

    @property
    def alternative(self) -> str:
        """The plot in words."""
        gettext, money = self.fmt.language.gettext, self.fmt.money
        dearest = max(range(len(self.days)), key=lambda at: sum(self.values[at]))
        parts = [f"{name} {money(total)}" for name, total in self.series]
        text = gettext("{days} days, {total} in all; the dearest day was {day} with {most}. {parts}.")
        values = {"days": len(self.days), "total": money(self.total), "most": money(self.most)}
        return text.format(day=self.short(self.days[dearest]), parts=self.fmt.listed(parts), **values)

    @property
    def rows(self) -> list[tuple[str, tuple[int, ...], int]]:
        """The days on which something was spent, newest first: day, each series, sum."""
        found = [(self._long(day), row, sum(row)) for day, row in zip(self.days, self.values, strict=True)]
        return [row for row in found[::-1] if row[2]]


def spending(
    rows: Sequence[Json], centres: Mapping[str, Json], fmt: Formats, today: date, days: int = DAYS
) -> Spending | None:
    """The plot of `rows` (day, centre, charged) of the last `days`; None where nothing was spent."""
    shown = tuple(today - timedelta(days=back) for back in range(days - 1, -1, -1))
    charged: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (str(row.get("day"))[:10], str(row.get("centre") or ""))
        charged[key] = charged.get(key, 0) + int(row.get("charged") or 0)
    inside = {day.isoformat() for day in shown}
    totals: dict[str, int] = {}
    for (day, centre), amount in charged.items():
        if day in inside:
            totals[centre] = totals.get(centre, 0) + amount
    ranked = sorted((centre for centre, total in totals.items() if total), key=lambda one: (-totals[one], one))
    if not ranked:
        return None
    named = [centre for centre in ranked if centre][:COLOURS]
    rest = [centre for centre in ranked if centre not in named]
    groups = [[centre] for centre in named] + ([rest] if rest else [])
    names = [centre_name(centre, centres, fmt.language) for centre in named]
    names += [fmt.language.gettext("other centres")] * bool(rest)
    values = tuple(
        tuple(sum(charged.get((day.isoformat(), centre), 0) for centre in group) for group in groups) for day in shown
    )
    series = tuple((name, sum(totals[one] for one in group)) for name, group in zip(names, groups, strict=True))
    return Spending(fmt, shown, series, values)
