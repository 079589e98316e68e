"""A small real app in a folder, with the pipeline that a test writes, and a run of it."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path
from typing import Any

from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.pool import Here, Pool
from perijove.spawners.apps.runner import Runner

MANIFEST = """
name = "{name}"
version = "1.0"
domain = "other"
title = {{ en = "Tiny", zh = "小应用" }}
question = {{ en = "How many lines?", zh = "有多少行？" }}
about = {{ en = "Counts lines.", zh = "数行数。" }}
limits = {{ en = "Counts only.", zh = "仅计数。" }}
licence = "BSD-3-Clause"
cite = "A test"
authors = ["Ada Lovelace"]
picture = "picture.svg"
picture_alt = {{ en = "A dot", zh = "一个点" }}

[codes.sort]
program = "sort"
title = "GNU sort"
version = ["sort", "--version"]
apt = "coreutils"
licence = "GPL-3.0-or-later"

[codes.absent]
program = "perijove-absent-program"
title = "Absent"
apt = "absent-tools"
module = "absent/1"
pypi = "absent"

[[ways]]
name = "{way}"
codes = [{codes}]
title = {{ en = "With sort", zh = "用 sort" }}

[[ways]]
name = "more"
codes = ["sort", "absent"]
title = {{ en = "With more", zh = "用更多" }}

[data.words]
title = {{ en = "Words", zh = "词" }}
licence = "CC0-1.0"
source = {{ app = "data/words.txt" }}

[inputs.count]
type = "integer"
title = {{ en = "Count", zh = "数量" }}
help = {{ en = "How many.", zh = "多少。" }}
default = 3
min = 0
max = 1000000

[inputs.words]
type = "file"
title = {{ en = "Words", zh = "词" }}
help = {{ en = "A file.", zh = "文件。" }}
default = "data:words"

[needs]
seconds = "10"

[steps.one]
title = {{ en = "One", zh = "一" }}
weight = 3
progress = {{ pattern = "done (?P<done>\\\\d+)", total = "count" }}
advice = {{ en = "Change the count.", zh = "请修改数量。" }}

[steps.two]
title = {{ en = "Two", zh = "二" }}

[steps.last]
title = {{ en = "Last", zh = "最后" }}

[outputs.lines]
kind = "number"
title = {{ en = "Lines", zh = "行数" }}
unit = "1"

[outputs.dot]
kind = "figure"
title = {{ en = "Dot", zh = "点" }}
alt = {{ en = "A dot", zh = "一个点" }}

[outputs.rows]
kind = "table"
title = {{ en = "Rows", zh = "行" }}

[outputs.text]
kind = "file"
title = {{ en = "Text", zh = "文本" }}
"""

#: A whole small run: a command, a fan-out of pipes, a function with all kinds of results.
PIPELINE = """
import base64
import json
import sys

from perijove.apps import Call, Command, Pipe, Step, report

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def steps(case):
    sort = case.program("sort")
    return [
        Step("one", Command([sort, str(case.inputs["words"])], stdout="sorted.txt"), makes=["sorted.txt"]),
        *(
            Step("two", Pipe((Command([sort, "-r", case.file("sorted.txt")]), Command(["head", "-n", n], stdout=f"{n}.txt"))),
                 part=str(n), after=["one"], makes=[f"{n}.txt"])
            for n in (1, 2)
        ),
        Step("last", Call(finish, factor=2), after=["two"],
             makes=["results/dot.png", "results/rows.csv", "results/text.txt"]),
    ]


def finish(case, factor):
    from pathlib import Path

    report(0.5, "half")
    text = case.file("2.txt").read_text()
    case.data("words")
    Path("results/text.txt").write_text(text)
    Path("results/rows.csv").write_text("word,length\\n" + "".join(f"{w},{len(w)}\\n" for w in text.split()))
    Path("results/dot.png").write_bytes(base64.b64decode(DOT))
    return {
        "numbers": {"lines": factor * len(text.splitlines())},
        "figures": {"dot": {"file": "dot.png"}},
        "tables": {"rows": "rows.csv"},
        "files": {"text": "text.txt"},
        "reading": {"en": "There are lines.", "zh": "有若干行。"},
    }
"""

NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {
            "id": "a",
            "cell_type": "code",
            "metadata": {},
            "source": "from perijove.apps import show\nshow()",
            "outputs": [],
            "execution_count": None,
        }
    ],
}


def app_in(
    folder: Path, pipeline: str = PIPELINE, *, name: str = "tiny", codes: tuple[str, ...] = ("sort",), words: str = ""
) -> App:
    """An app in `folder` with this pipeline."""
    place = folder / name
    (place / "data").mkdir(parents=True, exist_ok=True)
    listed = ", ".join(f'"{code}"' for code in codes)
    (place / "app.toml").write_text(MANIFEST.format(name=name, way="plain", codes=listed))
    (place / "pipeline.py").write_text(textwrap.dedent(pipeline))
    (place / "app.ipynb").write_text(json.dumps(NOTEBOOK))
    (place / "picture.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>')
    (place / "data/words.txt").write_text(words or "pear\napple\nfig\n")
    return load(place)


def order(folder: Path, app: App, **more: Any) -> Path:
    """A run's folder with its order."""
    run = folder / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    what = {
        "run": "r1",
        "app": app.name,
        "app_version": app.version,
        "digest": app.digest,
        "app_folder": str(app.folder),
        "inputs": {},
        "language": "en",
        "cores": 2,
        "memory": 2000,
        "owner": "ada",
        "centre": "c1",
        "home": str(folder),
    }
    with os.fdopen(os.open(run / "run.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(what | more, file)
    return run


def run(folder: Path, app: App, pool: Pool | None = None, **more: Any) -> dict[str, Any]:
    """The report of a run of `app` in `folder`, here; again in the same folder it goes on."""
    return Runner(order(folder, app, **more), app, pool or Here(2), pause=0.01).run()
