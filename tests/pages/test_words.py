"""Every code has words, and every word is in both languages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from perijove.hub.pages import words
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.languages import languages
from perijove.spawners.job import Reason
from perijove.spawners.request import BadRequest, Request
from perijove.spawners.session import Stage

TOP = Path(__file__).parent.parent.parent
WRONG: list[dict[str, Any]] = [
    {},
    {"centre": "X Y"},
    {"centre": 5},
    {"centre": "a" * 99},
    *({"centre": "a", "cores": value} for value in ("x", 0, 10**9, 1.5, [], {}, True)),
    *({"centre": "a", "memory": value} for value in ("x", 1, 2**50, [1, 2])),
    *({"centre": "a", "walltime": value} for value in ("x", 1, 2**50, [1, 2])),
    {"centre": "a", "project": "a b"},
    {"centre": "a", "nonsense": 1},
    {"centre": "a", "options": 3},
    {"centre": "a", "options": {"a": "x" * 501}},
]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words(reason: Reason) -> None:
    assert words.REASONS[reason.value].sentence


def test_every_stage_has_words() -> None:
    assert {stage.value for stage in Stage} == set(words.STAGES)


@pytest.mark.parametrize("raw", WRONG, ids=str)
def test_every_fault_of_a_request_has_words(raw: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as bad:
        Request.parse(raw)
    for fault in bad.value.faults:
        assert fault.code in words.FAULTS, fault
        for language in languages().values():
            text = Formats(language).fault(
                {"field": fault.field, "code": fault.code, "message": "ENGLISH", "values": fault.values}
            )
            assert "ENGLISH" not in text
            assert "{" not in text


def test_every_code_of_a_fault_in_the_source_has_words() -> None:
    source = (TOP / "spawners/request.py").read_text()
    codes = set(re.findall(r'Fault\(\s*(?:field|"[a-z]*"),\s*"([a-z-]+)"', source))
    assert "too-much" in codes
    assert codes <= set(words.FAULTS)


def test_no_message_is_untranslated_and_none_is_left_over(messages: dict[str, str]) -> None:
    chinese = languages()["zh"].words
    assert set(messages) - set(chinese) == set()
    assert set(chinese) - set(messages) == set()


def test_translations_keep_their_placeholders_and_are_chinese() -> None:
    holder = re.compile(r"%\(\w+\)s|\{\w+\}")
    for message, text in languages()["zh"].words.items():
        assert set(holder.findall(message)) == set(holder.findall(text)), message
        assert re.search(r"[\u4e00-\u9fff]", text), message


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("en-GB,zh;q=0.5", "en-GB"),
        ("fr", "en-GB"),
        ("de, zh;q=0.1", "zh-CN"),
        ("zh;q=x,,;;q=", "en-GB"),
        ("zh;q=0, en", "en-GB"),
        ("x" * 100_000, "en-GB"),
    ],
)
async def test_the_browser_chooses_a_language_that_we_have(alice: Any, header: str, tag: str) -> None:
    assert f'lang="{tag}"' in (await alice.get("", headers={"Accept-Language": header})).text.split("\n")[1]


async def test_the_choice_of_a_language_is_kept(alice: Any) -> None:
    await alice.get("", params={"lang": "zh"})
    assert "我的会话" in (await alice.get("")).text


def test_amounts_are_written_as_people_write_them() -> None:
    english, chinese = (Formats(language) for language in languages().values())
    assert english.duration(129_600) == "1 day 12 hours"
    assert chinese.duration(7200) == "2小时"
    assert english.memory(1536) == "1.5 GiB"
    assert english.money(1_234_560_000) == "1,234.56 credits"
    assert english.money(1200) == "0.0012 credits"
    assert chinese.money(0) == "0.00 点"


async def test_the_hubs_own_pages_get_their_words_before_anybody_signs_in(world: Any) -> None:
    browser = world.browser(None)
    words_in_chinese = (await browser.get("hub-words/zh")).json()
    assert words_in_chinese["Password:"] == "密码："
    assert set(words_in_chinese) == set(words.HUB)
    assert (await browser.get("hub-words/xx")).json() == {}
