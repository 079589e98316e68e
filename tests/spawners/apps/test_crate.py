"""The record of a run is what roc-validator calls a Provenance Run Crate, and says what ran."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from doubles.tinyapp import app_in, run
from perijove.spawners.apps.jsonld import Graph

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
#: Where RO-Crate 1.1's context differs, for our terms, from that of 1.3, which the rocrate library brings along.
OLDER = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a real run."""
    folder = tmp_path_factory.mktemp("run")
    report = run(folder, app_in(folder))
    assert report["state"] == "done", report["failure"]
    return folder / "run/results"


@pytest.fixture
def validate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The validator, whose only request, for RO-Crate's context, is answered from the library's copy."""
    import requests
    from rocrate import vocabs
    from rocrate_validator import services
    from rocrate_validator.utils.http import HttpRequester

    def get(_: Any, url: str, **__: Any) -> requests.Response:
        response = requests.Response()
        response.url, response.status_code = url, 200 if url == CONTEXT else 504
        response.headers["Content-Type"] = "application/ld+json"
        terms = vocabs.RO_CRATE["@context"] | OLDER
        del terms["sha256"]  # it came later
        response._content = json.dumps({"@context": terms}).encode()
        return response

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)

    def validate(crate: Path, profile: str) -> list[str]:
        result = services.validate(
            {
                "rocrate_uri": str(crate),
                "profile_identifier": profile,
                "requirement_severity": "REQUIRED",
                "offline": True,
                "cache_path": tmp_path / "cache",
            }
        )
        return [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]

    return validate


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("profile", ["workflow-run-crate", "provenance-run-crate"])
def test_the_validator_accepts_the_record_of_a_run(crate: Path, validate: Any, profile: str) -> None:
    assert validate(crate, profile) == []


@pytest.mark.filterwarnings("ignore")
def test_the_validator_would_have_found_a_fault(crate: Path, validate: Any, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(crate, broken)
    metadata = json.loads((broken / "ro-crate-metadata.json").read_text())
    for entity in metadata["@graph"]:
        entity.pop("instrument", None)
    (broken / "ro-crate-metadata.json").write_text(json.dumps(metadata))
    assert any("instrument" in issue for issue in validate(broken, "provenance-run-crate"))


def entities(crate: Path) -> dict[str, dict[str, Any]]:
    return {one["@id"]: one for one in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}


def test_the_record_names_what_ran_on_what_for_whom(crate: Path) -> None:
    found = entities(crate)
    assert found["#code-sort"]["name"] == "GNU sort"
    assert found["#code-sort"]["version"]
    assert found["#code-sort"]["license"] == "GPL-3.0-or-later"
    assert found["#tool-one"]["softwareRequirements"] == {"@id": "#code-sort"}
    assert found["#agent"]["name"] == "ada"
    assert found["#centre"]["name"] == "c1"
    assert found["#data-words"]["license"] == "CC0-1.0"
    assert found["#value-count"]["value"] == "3"
    assert {f"#action-{key}" for key in ("one", "two@1", "two@2", "last")} <= found.keys()
    assert found["#action-two@1"]["startTime"] >= found["#action-one"]["endTime"][:19]


def test_every_file_that_the_record_names_is_there_with_its_checksum(crate: Path) -> None:
    files = [one for one in entities(crate).values() if "File" in one["@type"]]
    assert {"text.txt", "rows.csv", "dot.png", "workflow/pipeline.py"} <= {one["@id"] for one in files}
    for one in files:
        path = crate / one["@id"]
        assert path.is_file()
        if "sha256" in one:
            assert one["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_cannot_stand_in_an_address_is_encoded_and_a_folder_ends_with_a_slash() -> None:
    graph = Graph()
    plot, maps = graph.part("a plot #1.png"), graph.part("maps", "Dataset")
    assert (graph.at("a plot #1.png"), graph.at("maps"), graph.at("other")) == (plot, maps, None)
    found = {one["@id"]: one for one in graph.as_json({})["@graph"]}
    assert found["./"]["hasPart"] == [{"@id": "a%20plot%20%231.png"}, {"@id": "maps/"}]
