"""What the API asks about apps: which there are, where they can run, what a run takes, and what runs took so far.

The catalogue is read in a thread, at the start and every half minute; a broken app of an operator's stops nothing. No
app's code is ever imported here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from perijove.hub.broker import offer_views
from perijove.hub.broker.appplaces import Places
from perijove.hub.broker.appprobe import tell
from perijove.hub.broker.appviews import app_view, place_views
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.views import fault_view
from perijove.spawners.apps import centredata
from perijove.spawners.apps.expressions import BadExpression
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.needs import Needs, needs
from perijove.spawners.request import BadRequest, Fault
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker
    from perijove.hub.offers.find import Offer
    from perijove.spawners.apps.manifest import App

log = logging.getLogger(__name__)
#: Seconds between looks at the apps' folders.
EVERY = 30.0
#: Of a request's options those that a run's own session may be asked for with.
CHOSEN = frozenset({"centre", "queue", "cores", "memory", "gpus", "walltime", "project", "data", "prefer"})
#: A session's own server takes so many MiB at least, whatever the app needs.
LEAST_MEMORY = 1024
#: Finished runs from which what is usual is told; with fewer the manifest's estimate is.
ENOUGH = 3


class AnyCatalogue(Protocol):
    """What is used of `perijove.spawners.apps.catalogue.Catalogue`."""

    broken: dict[str, list[str]]

    def apps(self) -> dict[str, App]: ...


class AppDesk:
    """The apps of one broker."""

    def __init__(self, broker: Broker, catalogue: AnyCatalogue) -> None:
        self.broker = broker
        self.catalogue = catalogue
        self.places = Places(broker.parts.database, broker.parts.clock)
        #: Every app that can be used, by name, as it was when it was last looked at.
        self.apps: Mapping[str, App] = {}

    async def reload(self) -> None:
        """Look at the folders again."""
        before = dict(self.catalogue.broken)
        self.apps = await asyncio.to_thread(self.catalogue.apps)
        for folder, faults in self.catalogue.broken.items():
            if before.get(folder) != faults:
                log.warning("the app in %s cannot be used: %s", folder, "; ".join(faults[:5]))

    async def look_around(self) -> None:
        """Where apps run on this machine, and then every half minute which apps there are; again if they changed."""
        looked: object = None
        while True:
            digests = {name: app.digest for name, app in self.apps.items()}
            try:
                if digests != looked:
                    looked = digests
                    parts = self.broker.parts
                    await tell(self.places, parts.centres.values(), self.apps, parts.app_folders)
                await asyncio.sleep(EVERY)
                await self.reload()
            except (SQLAlchemyError, OSError) as error:
                log.warning("%s", error)

    def app(self, name: str) -> App:
        """The app called `name`.

        Raises:
            Refusal: there is none.
        """
        found = self.apps.get(name)
        if found is None:
            raise Refusal(404, "no-app", "there is no such app")
        return found

    # --- views -------------------------------------------------------------------------------------------------

    async def view(self, app: App, root: str, person: str) -> dict[str, Any]:
        """The API's JSON of an app, for `person`."""
        return (await self.views([app], root, person))[0]

    async def views(self, apps: list[App], root: str, person: str) -> list[dict[str, Any]]:
        """The API's JSON of apps, for `person`; `root` is the path of the API."""
        places, history = await self.places.known(person), await self.broker.runs.runs.history()
        found = []
        for app in apps:
            usual = self._usual(app, history.get(app.name, ()))
            here = place_views(places.get(app.name, {}), self.broker.parts.centres)
            centres = self.broker.parts.centres.values()
            found.append(await asyncio.to_thread(app_view, app, root, here, usual, centres))
        return found

    def _usual(self, app: App, history: Any) -> dict[str, Any]:
        """How long a run usually takes and what it costs: from those that were, else from the manifest."""
        if len(history) >= ENOUGH:
            costs = [cost for _, cost in history]
            return {
                "seconds": median(seconds for seconds, _ in history),
                "price_low": min(costs),
                "price_high": max(costs),
            }
        try:
            wanted = needs(app, usual_inputs(app))
            offers = self.broker.offers(session_options(wanted, {})).offers
        except (BadRequest, BadExpression):
            return {"seconds": None, "price_low": None, "price_high": None}
        costs = [cost for offer in offers if (cost := expected_cost(offer, wanted.seconds)) is not None]
        return {
            "seconds": wanted.seconds,
            "price_low": min(costs, default=None),
            "price_high": max(costs, default=None),
        }

    # --- what a run takes --------------------------------------------------------------------------------------

    async def estimate(
        self, app: App, inputs: Mapping[str, Any], chosen: Mapping[str, Any], person: str
    ) -> dict[str, Any]:
        """What a run of `person` with these inputs would take, and what each queue says to it. Spends nothing, asks no
        centre."""
        try:
            parsed = Inputs(app).parse(inputs)
            wanted = wants(app, parsed, chosen)
            if away := self.away(app, parsed, str(chosen.get("centre") or "")):
                raise BadRequest(away)
        except BadRequest as bad:
            faults = [fault_view(fault) for fault in bad.faults]
            return {"faults": faults, "needs": None, "small": False, "offers": [], "recommended": None}
        data = centredata.names(app, parsed)
        found = self.broker.offers(session_options(wanted, chosen, data))
        view = offer_views.offers(found, self.broker.parts.clock())
        places = (await self.places.known(person)).get(app.name, {})
        for offer, shown in zip(found.offers, view["offers"], strict=True):
            known = places.get(offer.centre.id)
            state = "missing" if lacks(offer, data) else known.state if known else "unknown"
            shown |= {"ready": state == "ready", "place": state}
            shown |= {"seconds": wanted.seconds, "cost": expected_cost(offer, wanted.seconds)}
        best = await self.best(app, found.offers, person, data)
        recommended = {"centre": best.centre.id, "queue": best.queue.name} if best else None
        return {
            "faults": [],
            "needs": wanted.as_dict(),
            "small": wanted.small,
            "offers": view["offers"],
            "recommended": recommended,
        }

    def away(self, app: App, inputs: Mapping[str, Any], centre: str) -> list[Fault]:
        """What is wrong where data sets that the inputs name do not lie at `centre` ("" for any centre at all)."""
        return centredata.elsewhere(app, inputs, centredata.lies(app, self.broker.parts.centres.values()), centre)

    async def best(self, app: App, offers: tuple[Offer, ...], person: str, data: tuple[str, ...] = ()) -> Offer | None:
        """The first offer where the app runs as far as `person` knows, else the first where nobody has looked; where
        `data` lie in any case."""
        places = (await self.places.known(person)).get(app.name, {})
        good = [offer for offer in offers if offer.placement is not None and not lacks(offer, data)]
        states = {offer.centre.id: places[offer.centre.id].state for offer in good if offer.centre.id in places}
        ready = [offer for offer in good if states.get(offer.centre.id) == "ready"]
        return next(iter([*ready, *(offer for offer in good if offer.centre.id not in states)]), None)


def wants(app: App, parsed: Mapping[str, Any], chosen: Mapping[str, Any]) -> Needs:
    """What a run takes where the person chose so many cores.

    Raises:
        BadRequest: the choice has an option that a run has not, or the inputs fit no need.
    """
    if odd := sorted(set(chosen) - CHOSEN):
        name = odd[0][:60]
        raise BadRequest([Fault(name, "unknown-option", "is not an option of a run", {"option": name})])
    given = str(chosen.get("cores") or "")
    try:
        return needs(app, parsed, int(given) if given.isdecimal() and 0 < len(given) < 7 else None)
    except BadExpression as error:
        raise BadRequest([Fault("", "no-estimate", str(error), {"app": app.name})]) from None


def session_options(wanted: Needs, chosen: Mapping[str, Any], data: tuple[str, ...] = ()) -> dict[str, Any]:
    """The options of the session that a run needs, without what says which run it is; `data` are names of data sets
    that it reads, beside those that the person chose."""
    memory = max(wanted.memory, LEAST_MEMORY)
    own = {"cores": wanted.cores, "memory": memory, "gpus": wanted.gpus, "walltime": wanted.walltime}
    options = own | {key: value for key, value in chosen.items() if value not in (None, "")}
    if data:
        wished = options.get("data") or ()
        also = wished.split(",") if isinstance(wished, str) else wished
        if isinstance(also, list | tuple) and all(isinstance(one, str) for one in also):
            options["data"] = list(dict.fromkeys([*data, *also]))
        # Anything else is left to the request's own checks, which refuse it in words.
    return options


def lacks(offer: Offer, data: tuple[str, ...]) -> bool:
    """Whether one of these data sets does not lie there."""
    return not set(data).isdisjoint(offer.missing)


def usual_inputs(app: App) -> dict[str, Any]:
    """The defaults; an input without one has no value, or its first data set."""
    data = {name: f"data:{(one.data or tuple(app.data))[0]}" for name, one in app.inputs.items() if _offers(app, one)}
    return Inputs(app).parse({name: value for name, value in data.items() if app.inputs[name].default is None})


def _offers(app: App, one: Any) -> bool:
    return one.type == "file" and bool(one.data or app.data) and not one.optional


def expected_cost(offer: Offer, seconds: float) -> int | None:
    """Micro-credits of so many seconds there; None where it does not fit."""
    return None if offer.placement is None else round(offer.placement.hourly * seconds / 3600)


__all__ = ["AnyCatalogue", "AppDesk", "expected_cost", "session_options", "usual_inputs", "wants"]
