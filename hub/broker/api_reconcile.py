"""The API of reconciliations: reports of what was charged against what each centre's own accounting says. Operators."""

# No postponed annotations here: FastAPI could not resolve `Operator`, which each router makes for itself.
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from perijove.hub.broker import reconcilestore as reports
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.reconciling import NotKept
from perijove.hub.broker.typed import Day

Person = Callable[[Request], Awaitable[Caller]]


def router(broker: Broker, person: Person) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["ledger"])
    Who = Annotated[Caller, Depends(person)]
    database, clock = broker.parts.database, broker.parts.clock

    async def operator(who: Who) -> Caller:
        if not who.operator:
            raise Refusal(403, "forbidden", "only operators of this gateway may do that")
        return who

    Operator = Annotated[Caller, Depends(operator)]

    @routes.get("/reconciliations")
    async def listing(
        who: Operator, centre: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> dict[str, Any]:
        """Reports, the newest first, each with its differences. Operators.

        `state` is `running`, `sound`, `partial` (nothing differs, but the centre told of some jobs only),
        `differences` or `failed` (`detail` says why; else what was asked). Of a difference `kind` is `not-at-centre`,
        `not-ours`, `hours` or `undecided`; `ours` and `theirs` are seconds, null where that side does not know the job.
        """
        return {"reconciliations": await database.read(lambda c: reports.listing(c, centre, limit))}

    @routes.post("/reconciliations/{centre}")
    async def run(centre: str, who: Operator, day: Day | None = None) -> Any:
        """Reconcile a day (UTC) of a centre now, the day before if none is named; the report. Operators."""
        if centre not in broker.parts.centres:
            raise Refusal(404, "no-centre", f"there is no centre {centre[:40]!r}")
        wanted = day or clock().astimezone(UTC).date() - timedelta(days=1)
        try:
            number = await broker.reconciling.run(centre, wanted)
        except NotKept:
            words = f"another broker keeps {centre}, or none does yet: ask again in a minute"
            raise Refusal(409, "not-kept", words) from None
        found = await database.read(lambda c: reports.listing(c, centre))
        return next(report for report in found if report["id"] == number)

    return routes
