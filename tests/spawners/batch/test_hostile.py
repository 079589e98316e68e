"""Whatever a batch system prints, a parser answers or raises BatchError, and keeps nothing that is not plain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Output
from perijove.spawners.batch.gridengine import GridEngine
from perijove.spawners.batch.htcondor import HTCondor
from perijove.spawners.batch.lsf import LSF
from perijove.spawners.batch.oar import OAR
from perijove.spawners.batch.pbs import PBS
from perijove.spawners.batch.slurm import Slurm
from perijove.spawners.centre import Scheduler
from perijove.spawners.job import JobStatus, QueueStatus

pytestmark = pytest.mark.timeout(600)

SYSTEMS: dict[str, BatchSystem] = {
    "slurm": Slurm(Scheduler(system="slurm")),
    "gridengine": GridEngine(Scheduler(system="gridengine")),
    "pbs": PBS(Scheduler(system="pbs")),
    "torque": PBS(Scheduler(system="pbs", dialect="torque")),
    "lsf": LSF(Scheduler(system="lsf")),
    "htcondor": HTCondor(Scheduler(system="htcondor")),
    "oar": OAR(Scheduler(system="oar")),
}
ANSWERS = ("submit", "status", "history", "cancel", "queues", "estimate")
TRANSCRIPTS = {
    name: [
        path.read_text(encoding="utf-8").partition("== stdout\n")[2].partition("== stderr")[0]
        for path in sorted((Path(__file__).parent / "transcripts").glob(f"{name}-*"))
    ]
    for name in SYSTEMS
}


def check(system: BatchSystem, answer: str, output: Output) -> None:
    try:
        found = getattr(system, f"parse_{answer}")(output)
    except BatchError as error:
        assert len(error.detail) <= 2000 and error.detail.isprintable()
        assert error.problem in BatchProblem
        return
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, JobStatus):
            assert all(text.isprintable() and len(text) <= 200 for text in (item.name, item.raw, item.user or ""))
            assert item.node is None or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", item.node)
            assert re.fullmatch(r"[0-9][A-Za-z0-9.\[\]-]*", item.job_id)
        elif isinstance(item, QueueStatus):
            assert item.name.isprintable() and len(item.name) <= 200


@pytest.mark.parametrize("name", SYSTEMS)
@settings(max_examples=80, deadline=None)
@given(st.sampled_from(ANSWERS), st.sampled_from([0, 1, 255]), st.text(), st.text())
def test_any_text(name: str, answer: str, status: int, stdout: str, stderr: str) -> None:
    check(SYSTEMS[name], answer, Output(status, stdout, stderr))


@pytest.mark.parametrize("name", SYSTEMS)
@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_real_answer_with_something_else_inside(name: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TRANSCRIPTS[name]))
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 30))
    inside = data.draw(
        st.text(max_size=30)
        | st.sampled_from(["\x00", "null", "-1", "[]", "{}", '"', "9" * 400, "1e999", "NaN", "true"])
    )
    answer = data.draw(st.sampled_from(ANSWERS))
    check(SYSTEMS[name], answer, Output(0, text[:at] + inside + text[at + cut :]))


@pytest.mark.parametrize("name", SYSTEMS)
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_values_of_other_kinds(name: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TRANSCRIPTS[name]))
    values = list(re.finditer(r"(?<=[:>=|])[^\n<,=|{}\[\]]+", text))
    if values:
        one = data.draw(st.sampled_from(values))
        other = data.draw(
            st.sampled_from(["[]", "{}", "null", "true", "1.5", "1e400", "-5", '"x"', '[{"a": 1}]', "9" * 30])
        )
        check(
            SYSTEMS[name],
            data.draw(st.sampled_from(ANSWERS)),
            Output(0, text[: one.start()] + other + text[one.end() :]),
        )


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{" * 100_000, '{"a":' * 50_000, "<a>" * 100_000, "x" * 5_000_000, "\n" * 10**6]
)
def test_answers_that_want_to_exhaust_us(name: str, text: str) -> None:
    for answer in ANSWERS:
        check(SYSTEMS[name], answer, Output(0, text))


def test_an_entity_bomb_is_refused() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    for name in ("gridengine", "torque"):
        with pytest.raises(BatchError) as caught:
            SYSTEMS[name].parse_status(Output(0, bomb))
        assert caught.value.problem is BatchProblem.UNREADABLE
