"""Nine small embedded centres with the names of a national network, as files that anybody can read and change.

Their nodes are numbers: a queue counts the cores and memory that jobs ask for, and all jobs run on this machine.
Only the standard library, since the load generator imports this too and is to stay small.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from perijove.spawners.localqueue import LocalQueue
from perijove.spawners.localqueue_plan import Size
from perijove.spawners.localqueue_process import this_python


class DemoQueue(NamedTuple):
    """A queue: its nodes, their size (cores, GiB, GPUs), hours, the price of a core-hour, and how busy it is kept."""

    name: str
    nodes: int
    cores: int
    memory: int
    gpus: int
    hours: int
    price: str
    level: float


class DemoData(NamedTuple):
    """A data set: id, titles in English and Chinese, size, licence, citation. The demo has the names only, no data."""

    name: str
    en: str
    zh: str
    size: str
    licence: str
    cite: str


class DemoCentre(NamedTuple):
    """One centre: id, names and place in English and Chinese, queues, and the ids of data sets that lie there."""

    id: str
    en: str
    zh: str
    place_en: str
    place_zh: str
    queues: tuple[DemoQueue, ...]
    data: tuple[str, ...] = ()


def _centre(city: str, zh: str, *queues: DemoQueue, data: tuple[str, ...] = ()) -> DemoCentre:
    return DemoCentre(
        city.lower(),
        f"NSCC {city} (demo)",
        f"国家超级计算{zh}中心（演示）",
        city,
        zh,
        queues,
        data,
    )


DATA = {
    one.name: one
    for one in (
        DemoData(
            "era5",
            "ERA5 reanalysis",
            "ERA5 再分析资料",
            "5P",
            "CC-BY-4.0 (Copernicus)",
            "Hersbach et al. 2020, doi:10.1002/qj.3803",
        ),
        DemoData(
            "cmip6",
            "CMIP6 climate projections",
            "CMIP6 气候模式比较数据",
            "2P",
            "CC-BY-4.0; a few models: see the file",
            "Eyring et al. 2016, doi:10.5194/gmd-9-1937-2016",
        ),
        DemoData(
            "grch38",
            "Human reference genome GRCh38",
            "人类参考基因组 GRCh38",
            "4G",
            "free of restrictions (Genome Reference Consortium)",
            "Schneider et al. 2017, doi:10.1101/gr.213611.116",
        ),
    )
}
#: From far too much work (above 1) to an empty machine.
CENTRES = (
    _centre("Tianjin", "天津", DemoQueue("compute", 6, 8, 32, 0, 24, "0.10", 1.2), data=("era5", "cmip6")),
    _centre(
        "Guangzhou",
        "广州",
        DemoQueue("compute", 8, 8, 64, 0, 48, "0.12", 1.0),
        DemoQueue("debug", 1, 4, 16, 0, 1, "0.05", 0.3),
        data=("era5",),
    ),
    _centre("Shenzhen", "深圳", DemoQueue("compute", 4, 8, 32, 0, 24, "0.15", 0.4), data=("grch38",)),
    _centre("Changsha", "长沙", DemoQueue("compute", 4, 8, 32, 0, 12, "0.09", 0.8)),
    _centre("Jinan", "济南", DemoQueue("compute", 3, 8, 48, 0, 24, "0.08", 0.6)),
    _centre("Wuxi", "无锡", DemoQueue("compute", 8, 4, 16, 0, 72, "0.06", 1.3), data=("cmip6",)),
    _centre("Zhengzhou", "郑州", DemoQueue("compute", 2, 16, 64, 0, 24, "0.11", 0.1)),
    _centre(
        "Kunshan",
        "昆山",
        DemoQueue("compute", 4, 8, 64, 0, 24, "0.14", 0.9),
        DemoQueue("large", 1, 32, 256, 0, 12, "0.20", 0.5),
    ),
    _centre("Chengdu", "成都", DemoQueue("compute", 3, 8, 32, 0, 48, "0.07", 0.7)),
)

_TEMPLATE = """\
# Written by `perijove demo`: an embedded centre whose jobs are processes of this machine.
id = {id}
name = {{ en = {en}, zh = {zh} }}
place = {{ en = {place_en}, zh = {place_zh} }}

[scheduler]
system = "local"
root = {root}

[scheduler.commands]
perijove-localqueue = {program}

[environment]
python = {python}
software = ["JupyterLab"]

[paths]
base = {base}
home = {home}
"""
_QUEUE = """
[[queues]]
name = {name}
nodes = {nodes}
cores = {cores}
memory = "{memory}G"
gpus = {gpus}
max_time = "{hours}h"
default_time = "30m"
price = {{ core_hour = "{price}" }}
"""
_DATA = """
[[datasets]]
name = "{name}"
title = {{ en = "{en}", zh = "{zh}" }}
path = "/data/{name}"
size = "{size}"
licence = "{licence}"
cite = "{cite}"
"""


def prepare(state_dir: Path) -> Path:
    """Make the demo's directories and programs in `state_dir`, and its descriptions; the directory of these.

    Raises OSError.
    """
    state = _plain(state_dir)
    for part in ("bin", "home", "local", "sessions"):
        (state / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    _script(state / "bin" / "perijove-localqueue", this_python())
    _script(state / "bin" / "python", [sys.executable])
    centres = state / "centres"
    write_centres(centres, state)
    return centres


def write_centres(directory: Path, state: Path) -> list[Path]:
    """Write one description per centre into `directory`, with everything of theirs in `state`; the files.

    Raises OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = []
    for centre in CENTRES:
        words = {
            **centre._asdict(),
            "root": str(root_of(state, centre.id)),
            "program": str(state / "bin" / "perijove-localqueue"),
            "python": str(state / "bin" / "python"),
            "base": str(state / "sessions" / centre.id),
            "home": str(state / "home"),
        }
        text = _TEMPLATE.format(**{key: json.dumps(value, ensure_ascii=False) for key, value in words.items()})
        for queue in centre.queues:
            text += _QUEUE.format(**{**queue._asdict(), "name": json.dumps(queue.name)})
        text += "".join(_DATA.format(**DATA[name]._asdict()) for name in centre.data)
        file = directory / f"{centre.id}.toml"
        file.write_text(text, encoding="utf-8")
        files.append(file)
    return files


def root_of(state: Path, centre: str) -> Path:
    """Where the embedded batch system of `centre` keeps its state."""
    return state / "local" / centre


def queue_of(state: Path, centre: DemoCentre) -> LocalQueue:
    """The embedded batch system of `centre`. Raises OSError and sqlite3.Error."""
    sizes = [(q.name, q.nodes, Size(q.cores, q.memory * 1024, q.gpus)) for q in centre.queues]
    return LocalQueue(str(root_of(state, centre.id)), sizes)


def clean_up(state_dir: Path) -> None:
    """End every job of every demo centre, ours and background, and remove the queues; no process is left."""
    for centre in CENTRES:
        root = root_of(state_dir, centre.id)
        if (root / "queue.db").exists():
            LocalQueue(str(root)).clean_up()
    link = _link(state_dir)
    if link.is_symlink():
        link.unlink()


def _plain(state_dir: Path) -> Path:
    """`state_dir`, or a link to it where its name has what the path of a centre may not have (a blank, 中文)."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = state_dir.resolve()
    if re.fullmatch(r"[A-Za-z0-9_.+@/-]{1,80}", str(state)):
        return state
    link = _link(state_dir)
    if link.is_symlink() and link.lstat().st_uid == os.getuid():
        link.unlink()
    link.symlink_to(state)  # raises if another person's file is in the way
    return link


def _link(state_dir: Path) -> Path:
    mark = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"perijove-demo-{os.getuid()}-{mark}"


def _script(path: Path, words: list[str]) -> None:
    """A program that runs `words` and its own arguments behind them."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    path.chmod(0o700)
