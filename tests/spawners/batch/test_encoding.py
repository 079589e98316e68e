"""No value of a person, a project or a description adds a directive, a shell word or a template, in any system."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perijove.spawners.batch import encoding
from perijove.spawners.batch.base import BatchSystem
from perijove.spawners.batch.gridengine import GridEngine
from perijove.spawners.batch.htcondor import HTCondor
from perijove.spawners.batch.lsf import LSF
from perijove.spawners.batch.oar import OAR
from perijove.spawners.batch.pbs import PBS
from perijove.spawners.batch.slurm import Slurm
from perijove.spawners.centre import Scheduler
from perijove.spawners.job import JobSpec

pytestmark = pytest.mark.timeout(600)

NASTY = st.text(max_size=40) | st.sampled_from(
    [
        "a\n#SBATCH --uid=0",
        "x\r#$ -A root",
        "$(id)",
        "`id`",
        "{{job}}",
        "%u.%j",
        "a b",
        "a;b",
        "a'b",
        'a"b',
        "--wrap=id",
        "é",
        "\u202eabc",
        "a\x00",
        "a\u2028#PBS -l x",
        "",
    ]
)
WORDS = st.from_regex(r"\A[a-z][a-z0-9_.-]{0,20}\Z")
PATHS = st.from_regex(r"\A(~|/[a-z]{1,5})(/[a-z0-9_.+@-]{1,8}){1,3}\Z")


def field(good: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return good | good | good | NASTY


NUMBERS = st.integers(1, 200_000) | st.integers()
JOBS = st.builds(
    JobSpec,
    session=field(st.from_regex(r"\A[a-z2-7]{13}\Z")),
    queue=field(WORDS),
    cores=NUMBERS,
    memory=NUMBERS,
    gpus=st.integers(0, 8) | st.integers(),
    walltime=NUMBERS,
    directory=field(PATHS),
    command=st.lists(field(WORDS | PATHS), min_size=1, max_size=4).map(tuple),
    prolog=st.lists(field(st.sampled_from(["module load a/1.2", "export A='b c'", "if true", "then :; fi"]))).map(
        tuple
    ),
    account=st.none() | field(WORDS),
    gpu_type=st.none() | field(WORDS),
)
#: The options that the script of each system has always; the rest depends on the job.
EXPECTED = {
    "slurm": ("#SBATCH ", 12),
    "gridengine": ("#$ ", 10),
    "pbspro": ("#PBS ", 8),
    "torque": ("#PBS ", 9),
    "lsf": ("#BSUB ", 9),
}
SYSTEMS: dict[str, BatchSystem] = {
    "slurm": Slurm(Scheduler(system="slurm")),
    "gridengine": GridEngine(Scheduler(system="gridengine")),
    "pbspro": PBS(Scheduler(system="pbs")),
    "torque": PBS(Scheduler(system="pbs", dialect="torque")),
    "lsf": LSF(Scheduler(system="lsf")),
    "htcondor": HTCondor(Scheduler(system="htcondor")),
    "oar": OAR(Scheduler(system="oar")),
}


def accepted(act: Callable[[], object]) -> bool:
    """Whether `act` took its values; a refusal names a field."""
    try:
        act()
    except ValueError as error:
        assert re.match(
            r"(session|queue|cores|memory|gpus|walltime|directory|command|prolog|account|gpu_type): ", str(error)
        )
        return False
    return True


def options_by_job(name: str, job: JobSpec) -> int:
    """How many more directives `job` makes."""
    gpus = bool(job.gpus) and name not in ("pbspro", "torque")
    return gpus + bool(job.account) + (name == "gridengine" and job.cores > 1)


def check_body(job: JobSpec, body: Sequence[str], *, log: bool = False) -> None:
    """The lines after the directives: cd, perhaps the log, the prolog as it is, and the command and nothing else."""
    first, *rest = body
    target = shlex.split(first.replace('"$HOME"/', "~/"))
    assert target[:2] == ["cd", "--"] and target[2] == job.directory and target[3:] == ["||", "exit", "71"]
    if log:
        assert rest.pop(0) == "exec >>log 2>&1"
    assert tuple(rest[:-1]) == job.prolog
    program, *arguments = job.command
    home = program.startswith("~/")
    words = rest[-1].replace('exec "$HOME"/', "exec ~/", 1) if home else rest[-1]
    assert shlex.split(words) == ["exec", program, *arguments]


def check_plain(lines: Sequence[str]) -> None:
    for line in lines:
        assert line.isascii() and line.isprintable()
        assert not set("$`%;&|<>\\{}").intersection(line)


@pytest.mark.parametrize("name", EXPECTED)
@settings(max_examples=120, deadline=None)
@given(job=JOBS)
def test_no_value_adds_a_directive_or_a_shell_word(name: str, job: JobSpec) -> None:
    system = SYSTEMS[name]
    if not accepted(lambda: system.script(job)):
        return
    mark, always = EXPECTED[name]
    lines = re.split(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", system.script(job))
    directives = [line for line in lines if line.startswith("#") and line != "#!/bin/bash"]
    assert directives == list(system.directives(job)) == lines[1 : 1 + len(directives)]
    assert all(line.startswith(mark) for line in directives)
    assert len(directives) == always + options_by_job(name, job)
    check_plain([line.removeprefix(mark) for line in directives])
    assert lines[-1] == ""
    check_body(job, lines[1 + len(directives) : -1], log=name in ("pbspro", "torque", "lsf"))
    command = system.submit(job)
    assert command.stdin == system.script(job)
    assert not any(set(word) & set("\n$`") for word in command.argv)


@settings(max_examples=120, deadline=None)
@given(job=JOBS)
def test_a_description_of_htcondor_has_no_command_of_a_value(job: JobSpec) -> None:
    system = SYSTEMS["htcondor"]
    if not accepted(lambda: system.script(job)):
        return
    lines = system.submit(job).stdin.splitlines()
    assert len(lines) == 16 + bool(job.gpus) + bool(job.account)
    assert [line for line in lines if line.startswith("queue")] == ["queue 1"]
    text = next(line for line in lines if line.startswith("arguments = ")).removeprefix("arguments = ")
    assert "$" not in text.replace("$(DOLLAR)", "")
    assert text[0] == text[-1] == '"' and '"' not in text[1:-1].replace('""', "")
    inner = text[1:-1].replace('""', '"').replace("$(DOLLAR)", "$")
    words = [word.replace("''", "'") for word in re.findall(r"'((?:[^']|'')*)'", inner)]
    assert words[:3] == ["-c", 'eval "$(printf "%s\\n" "$@")"', "perijove"]
    check_body(job, words[3:])


@settings(max_examples=120, deadline=None)
@given(job=JOBS)
def test_a_submission_of_oar_has_no_option_of_a_value(job: JobSpec) -> None:
    system = SYSTEMS["oar"]
    if not accepted(lambda: system.submit(job)):
        return
    *options, command = system.submit(job).argv
    assert options[0] == "oarsub" and len(options) == 12 + bool(job.account)
    check_plain(options)
    assert "\n" not in command
    words = shlex.split(command)
    assert words[:4] == ["/bin/bash", "-c", 'eval "$(printf "%s\\n" "$@")"', "perijove"]
    check_body(job, words[4:])


@pytest.mark.parametrize("name", SYSTEMS)
@given(text=NASTY)
def test_only_identifiers_are_cancelled(name: str, text: str) -> None:
    system = SYSTEMS[name]
    try:
        argv = system.cancel([text]).argv
    except ValueError:
        return
    assert re.fullmatch(r"[0-9]+([.\[\]][A-Za-z0-9.\[\]-]*)?", argv[-1])


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_ordinary_job_is_taken(name: str, job: JobSpec) -> None:
    assert SYSTEMS[name].submit(job).argv
    assert job.command[-1] in SYSTEMS[name].script(job)


@pytest.mark.parametrize("name", SYSTEMS)
@given(account=NASTY)
def test_only_words_are_accounts_of_a_query(name: str, account: str) -> None:
    try:
        argv = SYSTEMS[name].status([account]).argv
    except ValueError:
        return
    assert not any(set(word) & set("\n$`'") for word in argv)


@given(text=st.text())
def test_what_is_kept_of_an_answer_is_one_bounded_line(text: str) -> None:
    kept = encoding.plain(text * 50)
    assert len(kept) <= 200 and kept.isprintable()
    assert encoding.host(text) in (None, text)
    number = encoding.number(text)
    assert number is None or number == int(text.strip())


@given(st.integers(1, 10**9), st.integers(1, 10**4))
def test_rounding_never_gives_less_than_was_asked(total: int, parts: int) -> None:
    assert total <= encoding.share(total, parts) * parts < total + parts
    assert total <= encoding.minutes(total) * 60 < total + 60
