"""Centres and requests as hypothesis draws them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from perijove.hub.offers.find import CentreNow, QueueNow
from perijove.hub.offers.ranges import Range, rounded
from perijove.spawners.centre import Centre, parse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATA = ("era5", "cmip6", "grch38")


def centre(name: str = "here", **changes: Any) -> Centre:
    """A described centre."""
    return parse(
        {
            "id": name,
            "name": {"en": name.title(), "zh": "中心"},
            "scheduler": {"system": "local"},
            "environment": {"python": "/usr/bin/python3"},
            "queues": [{"name": "cpu", "cores": 8, "memory": "32G", "max_time": "4h"}],
            **changes,
        }
    )


def dataset(name: str) -> dict[str, Any]:
    return {"name": name, "title": {"en": name, "zh": "数据"}, "path": f"/data/{name}", "size": "1T"}


QUEUES = st.fixed_dictionaries(
    {
        "cores": st.integers(1, 64),
        "memory": st.integers(1, 2**18),
        "gpus": st.integers(0, 4),
        "max_time": st.integers(60, 3 * 86400),
        "default_time": st.integers(60, 86400),
        "price": st.fixed_dictionaries({"core_hour": st.integers(0, 5)}),
    }
)
WINDOWS = st.builds(
    lambda begins, lasts: {"start": NOW + timedelta(minutes=begins), "end": NOW + timedelta(minutes=begins + lasts)},
    st.integers(-600, 4000),
    st.integers(1, 600),
)


@st.composite
def federations(draw: st.DrawFn) -> dict[str, Centre]:
    """Up to four centres of up to three queues, some closed, some in maintenance."""
    found = {}
    for number in range(draw(st.integers(1, 4))):
        queues = [{**queue, "name": f"q{n}"} for n, queue in enumerate(draw(st.lists(QUEUES, min_size=1, max_size=3)))]
        found[f"c{number}"] = centre(
            f"c{number}",
            queues=queues,
            enabled=draw(st.integers(0, 9)) > 0,
            maintenance=draw(st.lists(WINDOWS, max_size=2)),
            datasets=[dataset(name) for name in draw(st.lists(st.sampled_from(DATA), unique=True))],
        )
    return found


RANGES = st.lists(st.floats(0, 1e6), min_size=5, max_size=5).map(
    lambda values: rounded(tuple(sorted(values)), "history", 9, 7)  # type: ignore[arg-type]
)


def queue_now(start: Range, opened: bool) -> QueueNow:
    return QueueNow(lambda cores, walltime: start, opened)


@st.composite
def known(draw: st.DrawFn, centres: dict[str, Centre]) -> dict[str, CentreNow]:
    """What is known of them, of some nothing."""
    found = {}
    for name, one in centres.items():
        if draw(st.booleans()):
            queues = {queue.name: queue_now(draw(RANGES), draw(st.integers(0, 5)) > 0) for queue in one.queues}
            found[name] = CentreNow(queues, NOW, NOW if draw(st.integers(0, 4)) == 0 else None)
    return found


OPTIONS = st.fixed_dictionaries(
    {"cores": st.integers(1, 100)},
    optional={
        "memory": st.integers(64, 2**19),
        "gpus": st.integers(0, 6),
        "walltime": st.integers(60, 4 * 86400),
        "data": st.lists(st.sampled_from(DATA), unique=True),
        "prefer": st.sampled_from(["start", "price", "data", "balanced"]),
    },
)
