"""The broker of production, except that at one named point of its work it kills processes of the gateway, once.

`crashes()` makes `perijove.hub.serve` start the broker as `python -m harness.crashing` instead; `arm` says at which
point (see `Context.reach`) which processes get SIGKILL. A submission that was lost is known to be lost sooner than in
production.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from perijove.hub import children, serve
from perijove.hub.broker import app
from perijove.hub.cli import main
from perijove.hub.settings import Settings, from_environment

TESTS = Path(__file__).parents[1]


@contextmanager
def crashes() -> Iterator[None]:
    """Gateways that are started in this block have the broker that can be armed, and start it again without pauses."""
    plans = serve.plans

    def armed_plans(settings: Settings, config: Path) -> tuple[children.Plan, ...]:
        found = plans(settings, config)
        return tuple(crashing(plan) if plan.name == "broker" else plan for plan in found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve, "plans", armed_plans)
        patch.setattr(children, "SETTLED", 0.0)
        yield


def crashing(plan: children.Plan) -> children.Plan:
    """The same plan with this module in the place of the command line."""
    argv = ["harness.crashing" if word == "perijove.hub.cli" else word for word in plan.argv]
    return replace(plan, argv=argv, environment={**plan.environment, "PYTHONPATH": str(TESTS)})


def _order(settings: Settings) -> Path:
    return settings.directory("run") / "crash.json"


def arm(settings: Settings, point: str, *victims: str) -> None:
    """The next time that the broker reaches `point`, `victims` ("hub", "broker") are killed."""
    draft = _order(settings).with_suffix(".new")
    draft.write_text(json.dumps({"point": point, "victims": victims}))
    draft.replace(_order(settings))


def armed(settings: Settings) -> bool:
    """Whether the point has not been reached yet."""
    return _order(settings).exists()


async def reach(settings: Settings, point: str) -> None:
    """Kills, if this is the point. Of the broker itself nothing goes on after it."""
    try:
        order = json.loads(_order(settings).read_text())
    except FileNotFoundError:
        return
    if order["point"] == point:
        _order(settings).unlink()
        for victim in sorted(order["victims"], reverse=True):  # the hub first: the broker is this process
            os.kill(int((settings.directory("run") / f"{victim}.pid").read_text()), signal.SIGKILL)


if __name__ == "__main__":
    app.Context = partial(app.Context, reach=partial(reach, from_environment()))  # type: ignore[misc,assignment]
    app.Timing = partial(app.Timing, submit_timeout=8.0, submit_grace=20.0)  # type: ignore[misc,assignment]
    main()
