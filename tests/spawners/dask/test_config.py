"""What a head is told is checked before anything is done."""

from __future__ import annotations

from typing import Any

import pytest
from perijove.spawners.dask.config import BadConfig, Config

GIVEN: dict[str, Any] = {
    "id": "abcdefghijklm",
    "name": "one",
    "socket_dir": "/run/s",
    "folder": "/home/ada/.perijove/abcdefghijklm",
    "address": "10.1.2.3",
    "ports": [20000, 20100],
    "shape": {"cores": 4, "memory": 8192, "walltime": 7200, "queue": "cpu"},
    "api": "http://127.0.0.1:8000/services/perijove/api/v1",
}


def test_units_are_bytes_and_seconds_and_the_worker_ends_before_its_job() -> None:
    config = Config.of({**GIVEN, "prefix": "/user/a/dashboard/"})
    assert config.memory == 8 * 2**30 and config.walltime == 7200.0 and config.queue == "cpu"
    assert config.prefix == "/user/a/dashboard"
    settings = config.worker_settings("tls://10.1.2.3:20001")
    assert settings["scheduler"] == "tls://10.1.2.3:20001" and settings["ports"] == [20000, 20100]
    assert settings["threads"] == 4 and settings["memory"] == 8 * 2**30
    assert 7200 - config.margin < settings["lifetime"] < 7200


def test_without_a_walltime_the_worker_has_no_end() -> None:
    config = Config.of({**GIVEN, "shape": {"cores": 1, "memory": 1, "walltime": None}})
    assert config.walltime is None and config.worker_settings("tls://a:1")["lifetime"] is None


@pytest.mark.parametrize("walltime, margin", [(7200, 45.0), (60, 15.0), (None, 45.0)])
def test_a_short_life_keeps_three_quarters(walltime: int | None, margin: float) -> None:
    assert Config.of({**GIVEN, "shape": {**GIVEN["shape"], "walltime": walltime}}).margin == margin


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_a_missing_key_is_named(missing: str) -> None:
    with pytest.raises(BadConfig, match=f"{missing} is missing"):
        Config.of({key: value for key, value in GIVEN.items() if key != missing})


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"colour": "red"}, "unknown keys: colour"),
        ({"id": "../../etc"}, "id is no id"),
        ({"id": "abcdefghijklm", "folder": "relative/abcdefghijklm"}, "absolute"),
        ({"folder": "/home/ada/another"}, "abcdefghijklm"),
        ({"address": "node7"}, "node7"),
        ({"ports": [20100, 20000]}, "ports"),
        ({"ports": [1, 70000]}, "ports"),
        ({"ports": [1]}, "values"),
        ({"shape": {"cores": 0, "memory": 1}}, "at least one core"),
        ({"shape": {"cores": 1}}, "memory is missing"),
        ({"minimum": 3, "maximum": 2}, "minimum 3 is above maximum 2"),
        ({"times": {"tock": 1}}, "tock"),
    ],
)
def test_a_wrong_value_is_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        Config.of({**GIVEN, **wrong})
