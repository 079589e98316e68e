"""Transcripts: what a batch system's command printed, with where it comes from in the file's first lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from perijove.spawners.batch.base import Output
from perijove.spawners.job import JobSpec

HERE = Path(__file__).parent / "transcripts"


def read(name: str) -> Output:
    """The output in a file of the form: comment lines, then `== status N`, `== stdout`, `== stderr` sections."""
    text = (HERE / name).read_text(encoding="utf-8")
    head, *sections = re.split(r"^== (status \d+|stdout|stderr)\n", text, flags=re.MULTILINE)
    assert head.startswith(("# Recorded", "# Not recorded")), f"{name} does not say where it comes from"
    parts = dict(zip(sections[::2], sections[1::2], strict=True))
    status = next(int(key.split()[1]) for key in parts if key.startswith("status"))
    return Output(status, parts.get("stdout", ""), parts.get("stderr", ""))


@pytest.fixture
def transcript() -> Callable[[str], Output]:
    """Read a transcript by its file name."""
    return read


@pytest.fixture
def job() -> JobSpec:
    """An ordinary job."""
    return JobSpec(
        session="abcdefghij234",
        queue="small",
        cores=4,
        memory=4097,
        gpus=0,
        walltime=3601,
        directory="~/.perijove/abcdefghij234",
        command=("/opt/py/bin/python", "-m", "perijove.spawners.agent", "~/.perijove/abcdefghij234"),
        prolog=("module load python/3.11",),
        account="climate",
    )
