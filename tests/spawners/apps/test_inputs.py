"""What people fill in: taken in every form that doors give it, refused in words, and never a crash or a way out."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.inputwords import WORDS, words
from perijove.spawners.apps.manifest import App
from perijove.spawners.request import BadRequest

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.just("x" * 5000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NASTY = st.text(st.sampled_from("ab /\\'\"\n\0$()`;&|.~-\u202e文"), max_size=60) | st.sampled_from(
    ["../x.fq", "/etc/x.fq", "a/../../x.fq", "$(id).fq", "a b.fq", "-rf.fq", "a'b.fq", 'a"b.fq', "a\nb.fq", "x" * 400]
)


def fault_of(app: App, **raw: Any) -> tuple[str, str]:
    with pytest.raises(BadRequest) as caught:
        Inputs(app).parse(raw)
    (one,) = caught.value.faults
    assert one.field in raw
    assert words(one, "en") == one.message
    assert words(one, "zh") != one.message
    return one.code, one.message


def test_nothing_given_is_every_default(every: App) -> None:
    assert Inputs(every).parse({}) == {
        "kind": "A1B",
        "kinds": ["y"],
        "count": 2,
        "warmth": 2.5,
        "really": False,
        "label": None,
        "period": [1961, 1990],
        "region": [-120.0, 30.0, -60.0, 60.0],
        "source": "ours",
        "reads": "data:reads",
        "own": None,
    }


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("kind", "E1", "E1"),
        ("kind", ["E1"], "E1"),
        ("kinds", "y,x", ["x", "y"]),
        ("kinds", ["y", "x", "y"], ["x", "y"]),
        ("kinds", ["x, y"], ["x", "y"]),
        ("count", " 7 ", 7),
        ("count", 7.0, 7),
        ("count", ["7"], 7),
        ("warmth", "-1e0", -1.0),
        ("warmth", 3, 3.0),
        ("really", "on", True),
        ("really", "False", False),
        ("really", 1, True),
        ("label", " two words ", "two words"),
        ("label", "", None),
        ("period", "1961..1990", [1961, 1990]),
        ("period", ["1961", "1990"], [1961, 1990]),
        ("period", ["1961,1990"], [1961, 1990]),
        ("region", "-10,-5.5,10,5.5", [-10, -5.5, 10, 5.5]),
        ("reads", "my reads/$(id) 'x'.FQ", "my reads/$(id) 'x'.FQ"),
        ("reads", "-rf/a.fastq.gz", "-rf/a.fastq.gz"),
        ("reads", "data:far", "data:far"),
    ],
)
def test_each_door_gives_values_in_its_own_form(every: App, name: str, raw: Any, value: Any) -> None:
    found = Inputs(every).parse({name: raw})[name]
    assert found == value
    assert type(found) is type(value) or name == "region"


@pytest.mark.parametrize(
    ("name", "raw", "code", "said"),
    [
        ("kind", "A1C", "not-a-choice", "A1B, E1"),
        ("kind", {}, "not-a-choice", "a table of 0 keys"),
        ("kind", "", "missing", "is needed"),
        ("kinds", [], "missing", "is needed"),
        ("kinds", ["x", "z"], "not-a-choice", "x, y"),
        ("kinds", ["x"] * 501, "too-many", "500"),
        ("count", "7.5", "not-whole", "whole"),
        ("count", True, "not-a-number", "a number"),
        ("count", "0x10", "not-a-number", "a number"),
        ("count", "１", "not-a-number", "a number"),
        ("count", "9" * 5000, "too-long", "4000"),
        ("count", 10**400, "not-a-number", "a number"),
        ("count", 0, "too-small", "at least 1"),
        ("warmth", float("nan"), "not-a-number", "a number"),
        ("warmth", "inf", "not-a-number", "a number"),
        ("warmth", 40.1, "too-large", "at most 40 °C"),
        ("really", "maybe", "not-yes-or-no", "yes or no"),
        ("label", "UPPER", "wrong-form", "form"),
        ("label", "a" * 21, "too-long", "20"),
        ("label", "a\0", "unseen", "cannot be seen"),
        ("label", "a\nb", "unseen", "cannot be seen"),
        ("label", 3, "not-a-text", "a text"),
        ("period", [1990, 1961], "reversed", "after its end"),
        ("period", [1990, 1991], "too-narrow", "at least 5"),
        ("period", [1990], "not-a-range", "two numbers"),
        ("period", "1961..1990.5", "not-whole", "whole"),
        ("period", [1800, 1990], "too-small", "1860"),
        ("region", [1, 2, 3], "not-a-box", "west"),
        ("region", [10, 0, -10, 5], "no-area", "west must be less"),
        ("region", [0, -91, 10, 5], "outside", "-90 to 90"),
        ("region", [0, 0, 0.5, 5], "too-narrow", "1 °"),
        ("reads", "../a.fq", "not-a-path", "below your home"),
        ("reads", "/etc/a.fq", "not-a-path", "below your home"),
        ("reads", "a\nb.fq", "not-a-path", "below your home"),
        ("reads", "a.bam", "wrong-format", ".fq, .fastq.gz"),
        ("reads", "data:reeds", "unknown-data", "reads, far"),
        ("reads", 3, "not-a-path", "below your home"),
    ],
)
def test_what_does_not_fit_is_said_in_words_of_both_languages(
    every: App, name: str, raw: Any, code: str, said: str
) -> None:
    found, message = fault_of(every, **{name: raw})
    assert found == code
    assert said in message


def test_a_data_set_that_is_not_offered_for_an_input_is_refused(every: App) -> None:
    with pytest.raises(BadRequest) as caught:
        Inputs(every).parse({"source": "own", "own": "data:far"})
    assert caught.value.faults[0].code == "unknown-data"


def test_all_faults_come_at_once_and_an_unknown_input_names_the_nearest(every: App) -> None:
    with pytest.raises(BadRequest) as caught:
        Inputs(every).parse({"count": 99, "warmth": "x", "perid": 3, "kind": "?"})
    faults = {fault.field: fault for fault in caught.value.faults}
    assert set(faults) == {"count", "warmth", "perid", "kind"}
    assert faults["perid"].values["near"] == "period"


def test_an_input_that_is_not_shown_is_neither_needed_nor_looked_at(every: App) -> None:
    assert Inputs(every).parse({"source": "ours", "own": "../../etc/passwd"})["own"] is None
    with pytest.raises(BadRequest) as caught:
        Inputs(every).parse({"source": "own"})
    assert [(fault.field, fault.code) for fault in caught.value.faults] == [("own", "missing")]
    assert Inputs(every).parse({"source": "own", "own": "a.fq"})["own"] == "a.fq"


def test_every_fault_has_its_words_in_both_languages() -> None:
    for code, text in WORDS.items():
        assert any("\u4e00" <= character <= "\u9fff" for character in text.zh), code
        assert text.en.count("{") == text.zh.count("{"), code


@given(st.dictionaries(st.text(max_size=10), ANY, max_size=5), st.data())
def test_no_raw_value_makes_it_raise_anything_but_its_own_error(
    every: App, extra: dict[str, Any], data: st.DataObject
) -> None:
    raw = {name: data.draw(ANY) for name in every.inputs if data.draw(st.booleans())}
    try:
        values = Inputs(every).parse(extra | raw)
    except BadRequest as bad:
        assert all(len(fault.message) < 2000 for fault in bad.faults)
        return
    assert list(values) == list(every.inputs)
    # What comes out is JSON, fits the published schema, and is taken again as it is.
    jsonschema.validate(json.loads(json.dumps(values)), every.schema())
    assert Inputs(every).parse(values) == values


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NASTY)
def test_a_file_never_leads_out_of_the_home(every: App, path: str) -> None:
    try:
        value = Inputs(every).value("reads", path)
    except BadRequest:
        return
    assert value == path
    assert not value.startswith("/")
    assert ".." not in value.split("/")
    assert value.isprintable()


def test_the_schema_is_one_of_2020_12_and_speaks_both_languages(every: App) -> None:
    for language, title in (("en", "Warmth"), ("zh-CN", "温度")):
        found = every.schema(language)
        jsonschema.Draft202012Validator.check_schema(found)
        assert found["properties"]["warmth"]["title"] == title
        assert found["properties"]["warmth"]["x-unit"] == "°C"
    validator = jsonschema.Draft202012Validator(every.schema())
    assert validator.is_valid({"period": [1961, 1990], "label": None})
    for wrong in ({"count": 41}, {"period": [1961]}, {"nothing": 1}, {"kinds": []}, {"region": [0, -91, 1, 1]}):
        assert not validator.is_valid(wrong), wrong
