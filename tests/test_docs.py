"""The documentation says what is: whatever it repeats from the code is held against the code."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from perijove.hub import docs
from perijove.hub.cli import main
from perijove.hub.docs import generate, trouble
from perijove.hub.docs.voice import Voice, catalogue
from perijove.hub.pages import help as help_pages
from perijove.spawners import centre, launcher, trial
from perijove.spawners.apps import catalogue as catalogue_of_apps
from perijove.spawners.apps import expressions
from perijove.spawners.apps.parts import TYPE_KEYS, Resources
from perijove.spawners.centre import parse

TOP = Path(__file__).parent.parent
FOLDER = TOP / "hub/docs"
HAND = [name for name in docs.PAGES if name not in generate.WRITERS]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def generated() -> tuple[dict[str, str], list[str]]:
    return generate.pages()


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.S | re.M)


@pytest.mark.parametrize("lang", docs.LANGUAGES)
@pytest.mark.parametrize("name", generate.WRITERS)
def test_generated_pages_say_what_the_code_says(
    generated: tuple[dict[str, str], list[str]], name: str, lang: str
) -> None:
    path = f"{lang}/{name}.md"
    assert (FOLDER / path).read_text(encoding="utf-8") == generated[0][path], "make docs"


def test_everything_that_is_generated_has_its_chinese(generated: tuple[dict[str, str], list[str]]) -> None:
    assert generated[1] == [], "put these into hub/docs/reference.po"


def test_no_chinese_of_a_reference_is_left_over() -> None:
    voice = Voice("zh")
    for write in generate.WRITERS.values():
        write(voice)
    assert set(catalogue()) - set(voice.said) == set()
    assert all(CHINESE.search(text) for text in catalogue().values())


@pytest.mark.parametrize("lang", docs.LANGUAGES)
def test_every_code_that_can_be_shown_has_its_advice_and_no_advice_is_left_over(lang: str) -> None:
    said = trouble.advice(lang)
    shown = trouble.groups(Voice(lang))
    assert set(said) == {*shown, "title", "intro"}
    for group, codes in shown.items():
        assert set(said[group]["codes"]) == {code or "none" for code in codes}, f"advice.{lang}.toml: [{group}.codes]"
        for code, text in said[group]["codes"].items():
            assert text.strip(), code
            assert bool(CHINESE.search(text)) == (lang == "zh"), code


def test_the_refusals_of_the_api_are_found_in_its_source() -> None:
    assert {"no-session", "login-needed", "too-many"} <= set(trouble.refusals())


@pytest.mark.parametrize("lang", docs.LANGUAGES)
def test_every_page_is_there_and_every_link_leads_somewhere_on_a_code_host_too(lang: str) -> None:
    assert {path.stem for path in (FOLDER / lang).iterdir()} == set(docs.PAGES)
    for name in docs.PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", docs.source(name, lang)):
            path, _, place = target.partition("#")
            file = (FOLDER / lang / path).resolve() if path else FOLDER / lang / f"{name}.md"
            assert file.is_file(), f"{lang}/{name}.md: {target}"
            if place:
                page = help_pages.render(file.stem, file.parent.name, "")
                assert f'id="{unquote(place)}"' in page.html, f"{lang}/{name}.md: {target}"


@pytest.mark.parametrize("name", HAND)
def test_both_languages_of_a_page_have_the_same_parts(name: str) -> None:
    english, chinese = (docs.source(name, lang) for lang in docs.LANGUAGES)

    def shape(text: str) -> list[str]:
        return re.findall(r"^(#{1,3} |- |\d\. |```\w*|!\[|\|)", text, re.M)

    assert shape(english) == shape(chinese)
    for kind in ("toml", "json", "python"):
        assert blocks(english, kind) == blocks(chinese, kind)
    plain = [re.sub(r" +#.*", "", "".join(blocks(text, "sh"))) for text in (english, chinese)]
    assert plain[0] == plain[1]


def test_chinese_paragraphs_are_not_broken_within_a_sentence() -> None:
    """A line break becomes a space, which Chinese does not have."""
    for name in HAND:
        text = re.sub(r"^```.*?^```", "", docs.source(name, "zh"), flags=re.S | re.M)
        broken = re.search(r"[\u4e00-\u9fff，。；：、]\n *[\u4e00-\u9fff]", text)
        assert not broken, f"zh/{name}.md: {broken}"


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every call of the command line that a page shows."""
    for name in HAND:
        for line in "\n".join(blocks(docs.source(name, "en"), "sh")).splitlines():
            if line.startswith("perijove "):
                yield name, line.split()[1:]
        for line in re.findall(r"`perijove ([a-z][^`]*)`", docs.source(name, "en")):
            yield name, re.sub(r'"[^"]*"', "text", line).split()


def test_every_command_and_option_that_a_page_shows_exists() -> None:
    seen = 0
    for page, line in commands():
        command: click.Command = main
        words = line
        while words and isinstance(command, click.Group):
            inner = command.get_command(click.Context(command), words[0])
            if inner is None:
                break
            command, words = inner, words[1:]
            seen += 1
        if isinstance(command, click.Group):
            assert not words or command.invoke_without_command, f"{page}: there is no command {words}"
        options = {option for param in command.params for option in param.opts}
        for word in words:
            assert not word.startswith("--") or word in options, f"{page}: {command.name} has no {word}"
    assert seen > 15


@pytest.mark.parametrize("lang", docs.LANGUAGES)
def test_the_descriptions_of_the_tutorial_are_accepted(lang: str) -> None:
    whole = [tomllib.loads(text) for text in blocks(docs.source("administrator", lang), "toml")]
    complete = [part for part in whole if "id" in part]
    assert len(complete) == 1
    assert parse(complete[0]).login.identity == "sudo"
    parts = [part for part in whole if set(part) <= set(complete[0])]
    assert {part["login"]["identity"] for part in parts if "login" in part} == {"community", "key", "sudo"}
    for part in parts:
        parse({**complete[0], **part})


def test_what_the_tutorial_installs_at_a_login_node_is_what_the_launcher_reads() -> None:
    (settings,) = (json.loads(text) for text in blocks(docs.source("administrator", "en"), "json"))
    assert set(settings) == {"programs"}
    assert f"`{launcher.SETTINGS}`" in docs.source("administrator", "en")
    assert "less than 500" in docs.source("administrator", "en")
    assert len(Path(launcher.__file__).read_text().splitlines()) < 500


@pytest.mark.parametrize("lang", docs.LANGUAGES)
def test_what_the_tutorial_of_apps_shows_can_be_read(lang: str) -> None:
    text = docs.source("write-app", lang)
    needs, entry = (tomllib.loads(block) for block in blocks(text, "toml"))
    for key, value in Resources.model_validate(needs["needs"]):
        if key != "worker":
            expressions.parse(value)
    assert catalogue_of_apps.GROUP in entry["project"]["entry-points"]
    (pipeline,) = blocks(text, "python")
    assert "def steps(case: Case) -> list[Step]:" in pipeline
    compile(pipeline, "pipeline.py", "exec")
    assert {row for row in re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]+) \|", text, re.M)))} >= set(
        TYPE_KEYS
    )


def test_the_steps_of_the_doctor_are_those_of_the_tutorial() -> None:
    (shown,) = (text for text in blocks(docs.source("administrator", "en"), "text") if "cleanup" in text)
    steps = re.findall(r"^  ok +([a-z ]+?)(?: \(|:|$)", shown, re.M)
    source = Path(trial.__file__).read_text() + (Path(trial.__file__).parent / "triallook.py").read_text()
    assert len(steps) == 14
    for step in steps:
        assert f'"{step}"' in source + (Path(trial.__file__).parent / "trialwords.py").read_text(), step


def test_every_batch_system_and_identity_of_the_models_is_in_the_tutorial() -> None:
    text = docs.source("administrator", "en")
    for identity in centre.Identity.__args__:
        assert f"`{identity}`" in text


def test_the_pythons_of_the_tutorials_are_python() -> None:
    (program,) = blocks(docs.source("researcher", "en"), "python")
    compile(program, "researcher.md", "exec")


def test_every_file_of_the_documentation_is_package_data() -> None:
    data = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {path for pattern in data["perijove.hub.docs"] for path in FOLDER.glob(pattern)}
    wanted = {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert len(wanted) > 20
    assert wanted == shipped


def test_pictures_are_small() -> None:
    for path in (FOLDER / "images").iterdir():
        assert path.stat().st_size < 150_000, path.name
