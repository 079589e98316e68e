"""The numbers of tasks: in a batch system's lines, and in the environment of the one that runs."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from perijove.spawners.batch.base import Output
from perijove.spawners.batch.slurm import Slurm
from perijove.spawners.batch.tasks import MOST, Expansion, expand
from perijove.spawners.centre import Scheduler
from perijove.spawners.job import JobState, JobStatus
from perijove.spawners.tasknumber import VARIABLES, task_of

NUMBERS = st.integers(0, 200_000)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", [7]),
        ("3-6", [3, 4, 5, 6]),
        ("7,8,10-12:1", [7, 8, 10, 11, 12]),
        ("1-9:4,20%2", [1, 5, 9, 20]),
        ("2,2,1-3", [2, 1, 3]),
        ("1-2,9...", [1, 2]),
        ("5-3", []),
        ("1-3:0", [1, 2, 3]),
        ("", []),
        ("N/A", []),
        ("\N{ARABIC-INDIC DIGIT THREE}", []),
    ],
)
def test_a_line_of_tasks_is_read(text: str, numbers: list[int]) -> None:
    assert expand(text) == numbers


@given(st.sets(NUMBERS, max_size=60), st.integers(0, 50) | st.none())
def test_any_set_of_tasks_comes_back_from_its_ranges(numbers: set[int], at_once: int | None) -> None:
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    text = ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
    assert expand(text + (f"%{at_once}" if at_once is not None else "")) == sorted(numbers)


@given(NUMBERS, st.integers(0, 500), st.integers(1, 40))
def test_a_range_with_steps_is_what_python_makes_of_it(first: int, length: int, step: int) -> None:
    assert expand(f"{first}-{first + length}:{step}") == list(range(first, first + length + 1, step))


@given(st.text(alphabet="0123456789-,:%[]. x", max_size=200) | st.text(max_size=200))
@example("0-999999999")
@example("0-999999999:1,0-999999999:2,5-999999999")
@example("1-9," * 100_000)
@example("1-10000," * 100_000)
@settings(deadline=None)
def test_whatever_the_line_says_it_is_bounded_and_each_task_comes_once(text: str) -> None:
    found = expand(text)
    assert len(found) == len(set(found)) <= MOST
    assert all(0 <= number < 10**9 for number in found)
    assert expand(text, 3) == found[:3]


def test_many_lines_are_bounded_together_and_others_cost_one_status() -> None:
    ours, other = (JobStatus("1", name, JobState.QUEUED) for name in ("pjabcaaaaaaaaaa", "theirs"))
    expansion = Expansion(25)
    assert [len(expansion(ours, text)) for text in ("1-20", "1-20", "1-20")] == [20, 5, 1]
    assert expansion(other, "1-20") == [other]


def test_a_listing_full_of_arrays_stays_bounded() -> None:
    slurm = Slurm(Scheduler(system="slurm"))
    mark = "=0123456789abcdef="
    row = mark.join(["{n}_[1-999999]", "x", "PENDING", *["0"] * 10, "pjabcaaaaaaaaaa", ""])
    lines = [mark.join(["JOBID", *["X"] * 13, ""]), *(row.format(n=n) for n in range(1, 2001))]
    assert len(slurm.parse_status(Output(0, "\n".join(lines)))) < 11 * MOST


@pytest.mark.parametrize("name", VARIABLES)
def test_a_running_task_finds_its_number(name: str) -> None:
    assert task_of({name: "17", "PATH": "/bin"}) == 17


@pytest.mark.parametrize("value", ["undefined", "0", "", "x", "-3", "1" * 12, "٣"])
def test_a_job_that_is_no_array_is_task_one(value: str) -> None:
    assert task_of({"SGE_TASK_ID": value}) == task_of({}) == 1
    assert task_of({"SGE_TASK_ID": value, "LSB_JOBINDEX": "5"}) == 5
