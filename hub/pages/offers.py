"""Offers as the start page shows them: each with its range, price, data, limits, and what would make it fit. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perijove.hub.pages import charts
from perijove.hub.pages.forecast import Forecast
from perijove.hub.pages.formats import Formats, moment
from perijove.hub.pages.moneyviews import BudgetView
from perijove.hub.pages.offerwords import ELSEWHERE, OTHER_WHY, WHY
from perijove.hub.pages.startform import DEFAULTS, field_text, query_of
from perijove.hub.pages.views import centre_name, named, queue_status, queue_title, text_in

Json = Mapping[str, Any]
#: Offers that are shown at once; the others are folded away. And how many that do not fit are still shown at once.
SHOWN, SHOWN_UNFIT = 6, 3


@dataclass(frozen=True, slots=True)
class Fix:
    """The smallest change that makes an offer fit: form fields, a link, and words."""

    fields: Mapping[str, str]
    query: str
    words: str

    @property
    def data(self) -> str:
        """The fields as JSON, for the page's script."""
        return json.dumps(dict(self.fields))


@dataclass(frozen=True, slots=True)
class Offer:
    """One queue of one centre, and what it says to the request."""

    data: Json
    centres: Mapping[str, Json]
    form: Mapping[str, str]
    fmt: Formats
    forecast: Forecast | None
    chosen: bool = False
    best: bool = False
    why: tuple[str, ...] = ()
    last: bool = False
    #: What pays; None from a broker that keeps no books.
    payer: BudgetView | None = None

    @property
    def fits(self) -> bool:
        """The request can run there."""
        return bool(self.data.get("fits"))

    @property
    def place(self) -> str:
        """Its value in the form."""
        return f"{self.data['centre']}/{self.data['queue']}"

    @property
    def key(self) -> str:
        """Its id in the page."""
        return self.place.replace("/", "--")

    @property
    def centre(self) -> str:
        """The centre's name."""
        return centre_name(self.data["centre"], self.centres, self.fmt.language)

    @property
    def queue(self) -> str:
        """The queue's title."""
        return queue_title(self._centre, str(self.data["queue"]), self.fmt.language)

    @property
    def status(self) -> Json:
        """What the centre said last of the queue."""
        return queue_status(self._centre, str(self.data["queue"]))

    @property
    def limits(self) -> str:
        """The most that one session may have in the queue; "" if it is not described (any more)."""
        queues = self._centre.get("queues") or ()
        found: Json = next((queue for queue in queues if queue.get("name") == self.data["queue"]), {})
        keys = {"cores": "cores", "memory": "memory", "gpus": "gpus", "max_time": "walltime"}
        return self.fmt.commas(
            [self.fmt.amount(field, int(found[key])) for key, field in keys.items() if found.get(key)]
        )

    @property
    def faults(self) -> list[Json]:
        """Why it does not fit; centres and queues are named as people read them."""
        found = self.data.get("faults") or ()
        return [named(fault, self.centres, self.fmt.language, self._centre) for fault in found]

    @property
    def _centre(self) -> Json:
        return self.centres.get(str(self.data["centre"])) or {}

    @property
    def as_of(self) -> datetime | None:
        """When the centre was listed last."""
        return moment(self.data.get("as_of"))

    @property
    def silent_since(self) -> datetime | None:
        """Since when the centre has not answered."""
        return moment(self.data.get("unknown_since") or self._centre.get("unknown_since"))

    @property
    def maintenance(self) -> datetime | None:
        """When the centre's next maintenance begins."""
        starts = [moment(window.get("start")) for window in self._centre.get("next_maintenance") or ()]
        return min((start for start in starts if start), default=None)

    @property
    def notice(self) -> str:
        """What the operators say of the centre."""
        return text_in((self._centre.get("notice") or {}).get("text"), self.fmt.language)

    @property
    def here(self) -> list[str]:
        """The wanted data sets that lie there, as people call them."""
        return [self._data_title(str(name)) for name in self.data.get("data") or ()]

    @property
    def away(self) -> list[str]:
        """The wanted data sets that do not."""
        return [self._data_title(str(name)) for name in self.data.get("data_missing") or ()]

    def _data_title(self, name: str) -> str:
        return data_titles(self.centres, self.fmt).get(name, name)

    @property
    def summary(self) -> str:
        """Where, when and for how much, in one line."""
        parts = [f"{self.centre} · {self.queue}"]
        if self.forecast:
            parts.append(self.forecast.range_words(self.fmt))
        parts.append(self.fmt.language.gettext("at most {price}").format(price=self.fmt.money(self.price)))
        return " — ".join(parts)

    @property
    def price(self) -> int:
        """Micro-credits that it can cost at most."""
        return int(self.data.get("price") or 0)

    @property
    def pays(self) -> str:
        """What starting there does to the budget that pays, in a sentence."""
        return self.payer.pays(self.price) if self.payer else ""

    @property
    def missing(self) -> int:
        """Micro-credits that the budget lacks for it."""
        return self.payer.missing(self.price) if self.payer else 0

    @property
    def fix(self) -> Fix | None:
        """What would make it fit, if that is a change of the form's fields."""
        faults = self.data.get("faults") or ()
        fixes = [fault.get("fix") or {} for fault in faults]
        if self.fits or not fixes or any(one.get("field") not in DEFAULTS for one in fixes):
            return None
        values = {str(one["field"]): float(one["value"]) for one in fixes}
        fields = {field: field_text(field, value) for field, value in values.items()}
        words = self.fmt.commas([self.fmt.amount(field, int(value)) for field, value in values.items()])
        query = query_of(self.form, place=self.place, **fields)
        return Fix(fields, query, self.fmt.language.gettext("Use {amount}").format(amount=words))


@dataclass(frozen=True, slots=True)
class Offers:
    """All offers of a request, best first."""

    fitting: list[Offer]
    unfit: list[Offer]
    as_of: datetime | None
    #: Seconds at which the common time axis ends, and its marks.
    end: int
    ticks: list[tuple[float, int]]

    @property
    def labels(self) -> list[tuple[float, int]]:
        """Those of them that have words."""
        return charts.labels(self.end)

    @property
    def shown(self) -> list[Offer]:
        """Those that are shown at once: the first ones, and the chosen one."""
        return [offer for number, offer in enumerate(self.fitting) if number < SHOWN or offer.chosen]

    @property
    def folded(self) -> list[Offer]:
        """Those that are folded away."""
        shown = {offer.place for offer in self.shown}
        return [offer for offer in self.fitting if offer.place not in shown]

    @property
    def unfit_open(self) -> bool:
        """Those that do not fit are shown at once."""
        return not self.fitting or len(self.unfit) <= SHOWN_UNFIT

    @property
    def chosen(self) -> Offer | None:
        """The one that is chosen."""
        return next((offer for offer in self.fitting if offer.chosen), None)


def offers_view(
    answer: Json,
    centres: Mapping[str, Json],
    form: Mapping[str, str],
    fmt: Formats,
    *,
    last: str = "",
    avoid: str = "",
    payer: BudgetView | None = None,
) -> Offers:
    """The offers of an API's answer; `last` is the place of last time, `avoid` the centre where the person waits.

    What the form names is chosen, else what is recommended.
    """
    rows = [row for row in answer.get("offers") or () if row.get("centre") and row.get("queue")]
    place, best, why = form.get("place", ""), *_recommended(answer, rows, avoid, fmt)
    fitting = [row for row in rows if row.get("fits")]
    wanted = place if any(place == _place(row) for row in rows) else place.partition("/")[0]
    named = (_place(row) for row in fitting if wanted in (_place(row), row["centre"]))
    chosen = next(named, "") if place else best

    def offer(row: Json) -> Offer:
        here = _place(row)
        found = Forecast.parse(row.get("start"))
        return Offer(row, centres, form, fmt, found, here == chosen, here == best, why, here == last, payer)

    offers = [offer(row) for row in fitting]
    end = charts.axis(max((one.forecast.high for one in offers if one.forecast), default=0))
    unfit = [offer(row) for row in rows if not row.get("fits")]
    return Offers(offers, unfit, moment(answer.get("as_of")), end, charts.ticks(end))


def _place(row: Json) -> str:
    return f"{row['centre']}/{row['queue']}"


def _recommended(answer: Json, rows: list[Any], avoid: str, fmt: Formats) -> tuple[str, tuple[str, ...]]:
    """The recommended place and why, in words; "" for none."""
    _ = fmt.language.gettext
    found = answer.get("recommended")
    if found and found.get("centre") != avoid:
        codes = [str(reason.get("code")) for reason in found.get("reasons") or ()]
        return _place(found), tuple(dict.fromkeys(_(WHY.get(code, OTHER_WHY)) for code in codes))
    if avoid:
        other = next((row for row in rows if row.get("fits") and row["centre"] != avoid), None)
        return (_place(other), (_(ELSEWHERE),)) if other else ("", ())
    return "", ()


def data_titles(centres: Mapping[str, Json], fmt: Formats) -> dict[str, str]:
    """Every data set of the centres, by its name."""
    return {
        str(one["name"]): text_in(one.get("title"), fmt.language) or str(one["name"])
        for centre in centres.values()
        for one in centre.get("datasets") or ()
    }
