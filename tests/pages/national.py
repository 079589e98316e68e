"""A federation with realistic figures, as the broker's API gives them: queues, waits, loads, scores, notices.

Every figure comes from a generator with a fixed seed, so that two pictures of one page are the same.
"""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from perijove.spawners.centre import Centre, parse


class Busy(NamedTuple):
    """A queue: its node (cores, GiB, GPUs), its nodes, hours, price, typical wait in seconds, share of free cores."""

    name: str
    cores: int
    memory: int
    gpus: int
    nodes: int
    hours: int
    price: str
    wait: float
    free: float


ERA5 = {"name": "era5", "title": {"en": "ERA5 1979–2025", "zh": "ERA5 再分析 1979–2025"}, "path": "/data/era5"}
CMIP6 = {"name": "cmip6", "title": {"en": "CMIP6 monthly", "zh": "CMIP6 月平均"}, "path": "/data/cmip6"}
FEDERATION: tuple[tuple[str, str, str, str, tuple[Busy, ...]], ...] = (
    (
        "guangzhou",
        "Guangzhou",
        "广州",
        "slurm",
        (Busy("compute", 64, 256, 0, 96, 48, "0.12", 210, 0.31), Busy("gpu", 32, 256, 4, 12, 24, "0.18", 5200, 0.04)),
    ),
    (
        "tianjin",
        "Tianjin",
        "天津",
        "slurm",
        (Busy("compute", 56, 128, 0, 220, 24, "0.10", 2900, 0.06), Busy("debug", 56, 128, 0, 4, 1, "0.06", 35, 0.5)),
    ),
    (
        "kunshan",
        "Kunshan",
        "昆山",
        "pbs",
        (Busy("compute", 32, 128, 0, 64, 72, "0.09", 640, 0.17), Busy("large", 128, 1024, 0, 2, 12, "0.20", 9000, 0)),
    ),
    ("chengdu", "Chengdu", "成都", "slurm", (Busy("compute", 32, 192, 0, 80, 48, "0.07", 1500, 0.09),)),
    ("jinan", "Jinan", "济南", "lsf", (Busy("compute", 48, 192, 0, 40, 24, "0.08", 95, 0.42),)),
    ("wuxi", "Wuxi", "无锡", "slurm", (Busy("compute", 16, 64, 0, 120, 72, "0.06", 21000, 0.01),)),
    ("zhengzhou", "Zhengzhou", "郑州", "slurm", (Busy("compute", 32, 128, 0, 60, 24, "0.11", 420, 0.22),)),
)


def national() -> dict[str, Centre]:
    """The centres by id."""
    return {key: _centre(key, en, zh, system, queues) for key, en, zh, system, queues in FEDERATION}


def _centre(key: str, en: str, zh: str, system: str, queues: tuple[Busy, ...]) -> Centre:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=4)
    host = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
    return parse(
        {
            "id": key,
            "name": {"en": f"NSCC {en}", "zh": f"国家超级计算{zh}中心"},
            "place": {"en": en, "zh": zh},
            "scheduler": {"system": system},
            "login": {"host": f"login.{key}.test", "host_keys": [f"ssh-ed25519 {host}"], "account": "gateway"}
            | {"key_file": "/etc/perijove/key"},
            "environment": {"python": "/opt/py/bin/python", "software": ["JupyterLab 4.6", "xarray 2026.9", "CDO 2.5"]},
            "maintenance": [{"start": start, "end": start + timedelta(hours=6)}] if key == "zhengzhou" else [],
            "queues": [
                {"name": q.name, "cores": q.cores, "memory": f"{q.memory}G", "gpus": q.gpus, "nodes": q.nodes}
                | {"max_time": f"{q.hours}h", "price": {"core_hour": q.price, "gpu_hour": "2.50" if q.gpus else "0"}}
                for q in queues
            ],
        }
    )


def _busy(centre: str, queue: str) -> Busy | None:
    return next((q for key, *_rest, queues in FEDERATION if key == centre for q in queues if q.name == queue), None)


def start(centre: str, queue: str, share: float) -> dict[str, Any]:
    """A forecast for a request of `share` of the queue's node."""
    busy = _busy(centre, queue)
    if busy is None or centre == "chengdu":
        wide = {"low": 20, "likely": 1800, "high": 6 * 3600, "middle": [300, 2 * 3600]}
        return wide | {"evidence": "none", "count": 0, "days": 7, "expected": None}
    likely = busy.wait * (0.6 + share)
    low, high = likely * 0.35, likely * 2.4
    figures = {"low": low, "likely": likely, "high": high, "middle": [likely * 0.7, likely * 1.5]}
    count = {"guangzhou": 84, "tianjin": 211, "jinan": 37, "wuxi": 19}.get(centre, 46)
    evidence = "both" if centre == "tianjin" else "history"
    return figures | {"evidence": evidence, "count": count, "days": 7, "expected": None}


def facts(centre: str, now: datetime) -> dict[str, Any]:
    """What the API says of a centre beyond its description."""
    data = {
        "guangzhou": [ERA5 | {"bytes": 9 * 2**40}, CMIP6 | {"bytes": 61 * 2**40}],
        "jinan": [ERA5 | {"bytes": None}],
    }
    found: dict[str, Any] = {
        "datasets": data.get(centre, []),
        "as_of": (now - timedelta(seconds=25)).isoformat(),
        "last_ready": (now - timedelta(minutes=48)).isoformat(),
        "drained": None,
        "notice": None,
        "unknown_since": None,
    }
    if centre == "kunshan":
        words = {"en": "The scratch file system is slow today.", "zh": "今天 scratch 文件系统较慢。"}
        found["notice"] = {"text": words, "level": "warning", "by": "operator", "since": now.isoformat()}
    if centre == "wuxi":
        found["drained"] = {"by": "operator", "since": now.isoformat(), "note": "Cooling works until Thursday."}
    if centre == "chengdu":
        found["unknown_since"] = (now - timedelta(minutes=17)).isoformat()
    return found


def figures(centre: str, queue: str, now: datetime) -> dict[str, Any]:
    """What the API says of a queue beyond its description: load, waits, scores."""
    busy = _busy(centre, queue)
    if busy is None:
        waits = {"days": 7, "count": 0, "median": None, "p90": None, "recent": []}
        scores = {"count": 0, "cover50": None, "cover90": None, "median_error": None}
        return {"status": None, "waits": waits, "scores": scores, "load": []}
    # A seed of its own for each queue; nothing here guards anything.
    dice = random.Random(f"{centre}/{queue}")  # noqa: S311
    cores = busy.cores * busy.nodes
    load = []
    for half in range(48, -1, -1):
        swing = 0.12 * math.sin((48 - half) / 48 * 2 * math.pi + len(centre)) + dice.uniform(-0.04, 0.04)
        free = (
            int(cores * min(1.0, max(0.0, busy.free + swing * (0.4 + busy.free)))) if half else int(cores * busy.free)
        )
        load.append([(now - timedelta(minutes=30 * half)).isoformat(), free, cores, dice.randint(0, 40)])
    recent = [round(busy.wait * math.exp(dice.gauss(0, 0.8)), 1) for _ in range(60)]
    ranked = sorted(recent)
    count = 0 if centre == "chengdu" else 84
    waits = {"days": 7, "count": count, "median": ranked[30], "p90": ranked[54], "recent": recent}
    return {
        "status": {"open": True, "cores": cores, "cores_free": int(cores * busy.free), "jobs_queued": load[-1][3]},
        "waits": waits if count else {"days": 7, "count": 0, "median": None, "p90": None, "recent": []},
        "scores": {"count": count, "cover50": 0.48, "cover90": 0.91, "median_error": busy.wait * 0.4},
        "load": load if count else [],
    }
