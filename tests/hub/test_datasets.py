"""The catalogue of data sets, from centres and apps, on the command line."""

from __future__ import annotations

from typing import Any

from perijove.hub.datasets import catalogue

ERA5 = {
    "name": "era5", "title": {"en": "ERA5", "zh": "再分析"}, "path": "/data/era5", "bytes": 2**40,
    "description": None, "licence": "", "cite": "",
}  # fmt: skip
CENTRES: list[dict[str, Any]] = [
    {"id": "alpha", "datasets": [ERA5]},
    {"id": "beta", "datasets": [ERA5 | {"path": "/b/era5", "licence": "CC-BY-4.0"}]},
    {"id": "gamma"},
]
APP = {
    "name": "climate",
    "title": {"en": "Climate", "zh": "气候"},
    "data": [
        {"name": "own", "title": {"en": "ERA5 here", "zh": "x"}, "licence": "X", "source": {"dataset": "era5"}},
        {"name": "scenarios", "title": {"en": "A1B", "zh": "A1B"}, "licence": "OGL", "source": {"python": "iris"}},
    ],
}


def test_a_data_set_lies_at_each_centre_that_has_it_and_is_read_by_the_apps_that_name_it() -> None:
    era5, scenarios = catalogue(CENTRES, [APP])
    assert era5.places == [("alpha", "/data/era5"), ("beta", "/b/era5")]
    assert (era5.licence, era5.bytes, [name for name, _title in era5.apps]) == ("CC-BY-4.0", 2**40, ["climate"])
    assert (scenarios.licence, scenarios.places, scenarios.with_app) == ("OGL", [], "climate")


def test_without_apps_there_are_the_centres_own() -> None:
    assert [one.name for one in catalogue(CENTRES, [])] == ["era5"]
    assert catalogue([], []) == []
