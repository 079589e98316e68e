"""Names that are meant to do harm, or only look like it, are names and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from doubles.tinyapp import app_in, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from perijove.spawners.apps.case import Case
from perijove.spawners.apps.checks import NotMade, look
from perijove.spawners.apps.steplog import StepLog
from perijove.spawners.apps.steps import BadPipeline, Command, relative
from perijove.spawners.apps.task import Task, perform

#: What shells, options, globs and paths make of a name.
NASTY = [
    "a b",
    "it's",
    'say "hi"',
    "two\nlines",
    "$(touch pwned)",
    "`touch pwned`",
    "${HOME}",
    "; touch pwned",
    "| touch pwned",
    "&& touch pwned",
    "> pwned",
    "*",
    "~",
    "-rf",
    "--help",
    "日本 语",
    "..hidden..",
    "a\\b",
    "%s",
    "\x1b[31m",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40)
NAMES = st.one_of(st.sampled_from(NASTY), TEXT).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


def try_(folder: Path, command: Command, makes: tuple[str, ...]) -> object:
    (folder / "log").mkdir(exist_ok=True)
    task = Task("one", folder, "r", command, "", folder / "pipeline.py", makes, limit=30)
    return perform(task, lambda *_: None, lambda: False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES)
def test_any_name_reaches_a_program_as_it_is(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    source.write_text("content")
    outcome = try_(tmp_path, Command(["cp", "--", source, f"./{name}"]), (name,))
    assert outcome.code == "", outcome  # type: ignore[attr-defined]
    assert (outcome.scratch / name).read_text() == "content"  # type: ignore[attr-defined]
    assert [path.name for path in outcome.scratch.iterdir()] == [name]  # type: ignore[attr-defined]
    source.unlink()


@given(st.text(max_size=60))
def test_a_name_that_is_taken_stays_below_the_folder(name: str) -> None:
    try:
        plain = relative(name)
    except BadPipeline:
        return
    assert (Path("/a/b") / plain).is_relative_to("/a/b")
    assert ".." not in Path(plain).parts


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "a\0b", "results/../../x"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    case = Case({}, "plain", 1, tmp_path, tmp_path / "work", tmp_path / "results")
    with pytest.raises(BadPipeline):
        case.file(name)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/out").symlink_to("/etc")
    case = Case({}, "plain", 1, tmp_path, tmp_path / "work", tmp_path / "results")
    with pytest.raises(BadPipeline):
        case.file("out/passwd")
    (tmp_path / "made").mkdir()
    (tmp_path / "made/out").symlink_to("/etc")
    with pytest.raises(NotMade):
        look(tmp_path / "made", ("out/passwd",))


@pytest.mark.parametrize("name", NASTY)
def test_a_person_s_file_of_any_name_goes_through_a_whole_run(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / name).write_text("b\na\n")
    body = (
        "from perijove.apps import Command, Step\n"
        "def steps(case):\n"
        "    sort = Command(['sort', case.inputs['words']], stdout='out.txt')\n"
        "    return [Step('one', sort, makes=['out.txt'])]\n"
    )
    report = run(tmp_path, app_in(tmp_path, body), inputs={"words": name}, home=str(home))
    if report["state"] == "failed":  # the manifest's inputs take no name with such characters
        assert (report["failure"]["code"], report["failure"]["input"]) == ("bad-input", "words")
    else:
        assert (tmp_path / "run" / "work" / "out.txt").read_text() == "a\nb\n"
    assert not list(tmp_path.rglob("pwned"))


def test_a_program_s_words_cannot_move_the_reader_s_terminal(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('\\x1b[2Jgone\\n'); sys.exit(1)"
    outcome = try_(tmp_path, Command([sys.executable, "-c", code]), ())
    assert outcome.lines == ["\\x1b[2Jgone"]  # type: ignore[attr-defined]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=30))
def test_a_log_gives_every_line_once_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    whole = b"".join(parts)
    with StepLog(tmp_path_factory.mktemp("log") / "log") as cut:
        lines = [line for part in parts for line in cut.write(part)]
    with StepLog(tmp_path_factory.mktemp("log") / "log") as once:
        assert once.write(whole) == lines
    assert not any("\n" in line or "\r" in line for line in lines)
