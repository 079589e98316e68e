"""Apps to try things with: the sample that `perijove apps new` writes, and one with an input of every type."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from perijove.spawners.apps import skeleton
from perijove.spawners.apps.manifest import App, load

EVERY_TYPE = """
[data.reads]
title = { en = "Reads", zh = "读段" }
licence = "CC0"
source = { app = "data/reads.fq" }

[data.far]
title = { en = "Far", zh = "远" }
licence = "CC0"
source = { dataset = "far" }

[inputs.kind]
type = "choice"
title = { en = "Kind", zh = "种类" }
help = { en = "Which.", zh = "哪种。" }
choices = [{ value = "A1B", title = { en = "a", zh = "甲" } }, { value = "E1", title = { en = "b", zh = "乙" } }]
default = "A1B"

[inputs.kinds]
type = "choices"
title = { en = "Kinds", zh = "种类" }
help = { en = "Which.", zh = "哪些。" }
choices = [{ value = "x", title = { en = "x", zh = "甲" } }, { value = "y", title = { en = "y", zh = "乙" } }]
default = ["y"]

[inputs.count]
type = "integer"
title = { en = "Count", zh = "数目" }
help = { en = "How many.", zh = "多少。" }
min = 1
max = 40
default = 2

[inputs.warmth]
type = "number"
title = { en = "Warmth", zh = "温度" }
help = { en = "How warm.", zh = "多热。" }
unit = "°C"
min = -5.5
max = 40
default = 2.5

[inputs.really]
type = "boolean"
title = { en = "Really", zh = "确实" }
help = { en = "Whether.", zh = "是否。" }
default = false

[inputs.label]
type = "text"
title = { en = "Label", zh = "标签" }
help = { en = "A word.", zh = "一个词。" }
pattern = "[a-z ]+"
max_length = 20
optional = true

[inputs.period]
type = "range"
title = { en = "Period", zh = "时段" }
help = { en = "From, to.", zh = "起止。" }
min = 1860
max = 2099
least = 5
default = [1961, 1990]

[inputs.region]
type = "box"
title = { en = "Region", zh = "区域" }
help = { en = "Where.", zh = "何处。" }
bounds = [-180, -90, 180, 90]
least = 1
default = [-120, 30, -60, 60]

[inputs.source]
type = "choice"
title = { en = "Source", zh = "来源" }
help = { en = "Whose.", zh = "谁的。" }
choices = [{ value = "ours", title = { en = "o", zh = "甲" } }, { value = "own", title = { en = "p", zh = "乙" } }]
default = "ours"

[inputs.reads]
type = "file"
title = { en = "Reads", zh = "读段" }
help = { en = "A file.", zh = "文件。" }
formats = ["fq", "fastq.gz"]
default = "data:reads"

[inputs.own]
type = "file"
title = { en = "Own", zh = "自己的" }
help = { en = "A file.", zh = "文件。" }
formats = ["fq"]
data = ["reads"]
shown_if = { input = "source", equals = "own" }
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The folder of the sample app, to be changed."""
    return skeleton.write(tmp_path / "decay")


@pytest.fixture
def changed(sample: Path) -> Callable[[str, str], Path]:
    """Replaces a text of the sample's manifest (it must be there once) and gives the folder."""

    def change(old: str, new: str) -> Path:
        file = sample / "app.toml"
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, old
        file.write_text(text.replace(old, new), encoding="utf-8")
        return sample

    return change


@pytest.fixture(scope="session")
def every(tmp_path_factory: pytest.TempPathFactory) -> App:
    """An app with an input of every type."""
    folder = skeleton.write(tmp_path_factory.mktemp("apps") / "every")
    (folder / "data").mkdir()
    (folder / "data" / "reads.fq").write_text("@r\nACGT\n+\nIIII\n" * 65536)
    text = (folder / "app.toml").read_text(encoding="utf-8")
    head, _, rest = text.partition("# The form, in this order.")
    _, _, tail = rest.partition("# What a run takes")
    tail = tail.replace("2 + years / 5000", "count * width(period) + size(reads)")
    (folder / "app.toml").write_text(f"{head}{EVERY_TYPE}\n# What a run takes{tail}", encoding="utf-8")
    return load(folder)


@pytest.fixture
def copy(every: App, tmp_path: Path) -> Path:
    """A copy of `every`'s folder, to be changed."""
    return Path(shutil.copytree(every.folder, tmp_path / "every"))
