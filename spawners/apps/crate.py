"""The record of a finished run: a Provenance Run RO-Crate in its results, good enough to cite and to be checked.

Profiles (version 0.5): https://www.researchobject.org/workflow-run-crate/profiles/provenance_run_crate/ and those below
it. The workflow is the pipeline with its manifest and notebook; each step is a HowToStep with a tool; each part that
ran is a CreateAction of that tool with times, node and what it used; codes, data sets, the person and the centre stand
beside them. Inputs and outputs are formal parameters with the values of this run. Files carry their sha256.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from perijove.spawners.apps.jsonld import NAME, SPECIFICATION, Entity, Graph
from perijove.spawners.apps.manifest import FILE, App
from perijove.spawners.apps.parts import Input
from perijove.spawners.apps.plan import Plan
from perijove.spawners.apps.records import Record
from perijove.spawners.apps.results import media_type
from perijove.spawners.apps.state import State, write_json
from perijove.spawners.apps.steps import RESULTS

#: Profiles that the crate declares: address, name, version.
PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"),
)
#: Terms that RO-Crate's own context (1.1) has not.
TERMS = {
    "resourceUsage": "https://w3id.org/ro/terms/workflow-run#resourceUsage",
    "sha256": "http://schema.org/sha256",
}
#: Bytes of log.txt.
LOG = 4 << 20

_TYPES = {"integer": "Integer", "number": "Float", "boolean": "Boolean", "file": "Text", "range": "Text", "box": "Text"}


def write(folder: Path, app: App, plan: Plan, records: Mapping[str, Record], state: State) -> None:
    """Writes inputs.json, workflow/, log.txt and ro-crate-metadata.json into the results of the run in `folder`."""
    results = folder / "results"
    write_json(results / "inputs.json", {"app": app.name, "version": app.version, "inputs": dict(plan.given)})
    workflow = results / "workflow"
    workflow.mkdir(exist_ok=True)
    for name in (FILE, app.pipeline, app.notebook):
        shutil.copyfile(app.folder / name, workflow / Path(name).name)
    _log(folder, records)
    write_json(results / NAME, _Crate(app, plan, records, state).metadata())


def _log(folder: Path, records: Mapping[str, Record]) -> None:
    """All steps' logs, one after the other."""
    left = LOG
    with (folder / "results/log.txt").open("wb") as whole:
        for key, record in records.items():
            whole.write(f"== {key}: {json.dumps(record.does, ensure_ascii=False)}\n".encode("utf-8", "replace"))
            try:
                log = (folder / "log" / f"{key}.txt").read_bytes()[:left]
            except OSError:
                continue
            whole.write(log + b"\n" * (not log.endswith(b"\n")))
            left -= len(log)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class _Crate:
    """Puts the crate's entities together."""

    def __init__(self, app: App, plan: Plan, records: Mapping[str, Record], state: State) -> None:
        self.app, self.plan, self.records, self.state = app, plan, records, state
        self.crate = Graph()
        self.results: dict[str, Any] = state.results or {}
        self.begin, self.end = _iso(state.started), _iso(state.ended or state.started)

    def file(self, place: str, /, kind: str | list[str] = "File", **properties: Any) -> Entity:
        """One file of the results."""
        return self.crate.part(place, kind, encodingFormat=media_type(place), **properties)

    def metadata(self) -> dict[str, Any]:
        """The crate as JSON-LD."""
        crate, app = self.crate, self.app
        crate.root |= {
            "name": f"{app.title.en} ({self.plan.order.get('run') or 'a run'})",
            "description": f"{app.question.en} {app.limits.en}",
            "license": app.licence,
            "datePublished": self.end,
            "conformsTo": [
                crate.add(address, "CreativeWork", name=name, version=version) for address, name, version in PROFILES
            ],
        }
        agent, centre = self._who()
        inputs, given = self._inputs()
        outputs, results = self._outputs()
        steps, tools = self._steps()
        workflow = self._workflow(inputs, outputs, steps, tools)
        crate.root["mainEntity"] = workflow
        run = self.crate.add(
            "#run",
            "CreateAction",
            name=f"Run of {app.name} {app.version}",
            description=self.results["reading"]["en"] or app.question.en,
            instrument=workflow,
            object=given,
            result=results,
            agent=agent,
            participant=centre,
            startTime=self.begin,
            endTime=self.end,
            actionStatus="http://schema.org/CompletedActionStatus",
        )
        controls = self._actions(steps, tools, agent)
        engine = self.crate.add("#perijove", "SoftwareApplication", name="Perijove", version=_version())
        organise = self.crate.add(
            "#organise",
            "OrganizeAction",
            name="The engine's run of the pipeline",
            instrument=engine,
            object=controls,
            result=run,
            agent=agent,
            startTime=self.begin,
            endTime=self.end,
        )
        crate.root["mentions"] = [run, organise, *(control["object"] for control in controls)]
        crate.descriptor["conformsTo"] = [{"@id": SPECIFICATION}, {"@id": PROFILES[-1][0]}]
        for name in ("inputs.json", "log.txt"):
            self.file(name, name={"inputs.json": "What was filled in", "log.txt": "Log of all steps"}[name])
        return crate.as_json(TERMS)

    def _who(self) -> tuple[Any, Any]:
        order = self.plan.order
        centre = self.crate.add("#centre", "Organization", name=str(order.get("centre") or self.state.node))
        return self.crate.add("#agent", "Person", name=str(order.get("owner") or "unknown"), affiliation=centre), centre

    def _parameter(self, side: str, name: str, kind: str, title: str, **more: Any) -> Any:
        """A formal parameter of the workflow."""
        return self.crate.add(
            f"#{side}-{name}",
            "FormalParameter",
            name=name,
            description=title,
            additionalType=kind,
            conformsTo={"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"},
            **more,
        )

    def _inputs(self) -> tuple[list[Any], list[Any]]:
        parameters, values = [], []
        for name, one in self.app.inputs.items():
            value = self.plan.given.get(name)
            kind = _TYPES.get(one.type, "Text")
            parameter = self._parameter(
                "input", name, kind, one.title.en, defaultValue=_text(one.default), valueRequired=not one.optional
            )
            parameters.append(parameter)
            if value is not None:
                parameter["workExample"] = self._value(f"#value-{name}", name, _text(value), one)
                values.append(parameter["workExample"])
                parameter["workExample"]["exampleOfWork"] = parameter
        for given in self.plan.data([name for record in self.records.values() for name in record.data]):
            data = self.app.data[given["name"]]
            note = data.note.en if data.note else ""
            values.append(
                self.crate.add(
                    f"#data-{given['name']}",
                    "CreativeWork",
                    name=data.title.en,
                    license=data.licence,
                    citation=data.cite,
                    description=note,
                )
            )
        return parameters, values

    def _value(self, identifier: str, name: str, value: Any, one: Input | None = None, unit: str = "") -> Any:
        return self.crate.add(
            identifier, "PropertyValue", name=name, value=value, unitText=(one.unit if one is not None else unit)
        )

    def _outputs(self) -> tuple[list[Any], list[Any]]:
        parameters, values = [], []
        for number in self.results["numbers"]:
            value = self._value(f"#result-{number['name']}", number["name"], str(number["value"]), unit=number["unit"])
            parameters.append(
                self._parameter("output", number["name"], "Float", number["title"]["en"], workExample=value)
            )
            value["exampleOfWork"] = parameters[-1]
            values.append(value)
        figures = {figure["file"]: figure for figure in self.results["figures"]}
        for one in self.results["files"]:
            alt = figures[one["file"]]["alt"]["en"] if one["file"] in figures else ""
            facts = {"name": one["title"]["en"], "sha256": one["sha256"], "description": alt}
            if one["media"] == "inode/directory":
                value = self.crate.part(one["file"], "Dataset", name=facts["name"])
            else:
                value = self.file(one["file"], contentSize=str(one["bytes"]), **facts)
            parameters.append(self._parameter("output", one["name"], "File", facts["name"], workExample=value))
            value["exampleOfWork"] = parameters[-1]
            values.append(value)
        return parameters, values

    def _steps(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A HowToStep and its tool for each step of the manifest that ran."""
        codes = {
            one["name"]: self.crate.add(
                f"#code-{one['name']}",
                "SoftwareApplication",
                name=one["title"],
                version=one["version"],
                license=one["licence"],
                citation=one["cite"],
            )
            for one in self.state.codes
        }
        programs = {self.plan.case.programs.get(name): entity for name, entity in codes.items()}
        words: dict[str, set[str]] = {}
        for key, record in self.records.items():
            words.setdefault(key.partition("@")[0], set()).update(record.does)
        steps, tools = {}, {}
        for position, name in enumerate(dict.fromkeys(step.name for step in self.plan.graph.steps.values()), 1):
            used = [entity for path, entity in programs.items() if path in words[name]]
            title = self.app.steps[name].title.en
            tools[name] = self.crate.add(f"#tool-{name}", "SoftwareApplication", name=title, softwareRequirements=used)
            steps[name] = self.crate.add(
                f"#step-{name}", "HowToStep", name=title, position=str(position), workExample=tools[name]
            )
        return steps, tools

    def _workflow(self, inputs: list[Any], outputs: list[Any], steps: dict[str, Any], tools: dict[str, Any]) -> Any:
        app = self.app
        language = self.crate.add("#python", "ComputerLanguage", name="Python", url={"@id": "https://www.python.org"})
        for name in (FILE, app.notebook):
            self.file(f"workflow/{Path(name).name}", name=f"{app.title.en}: {Path(name).name}")
        name = f"workflow/{Path(app.pipeline).name}"
        workflow = self.file(
            name,
            ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            name=app.title.en,
            description=app.about.en,
            version=app.version,
            license=app.licence,
            citation=app.cite,
            sha256=self.plan.base["pipeline"],
        )
        for key, value in (
            ("programmingLanguage", language),
            ("author", [self.crate.add(f"#author-{n}", "Person", name=who) for n, who in enumerate(app.authors, 1)]),
            ("input", inputs),
            ("output", outputs),
            ("step", list(steps.values())),
            ("hasPart", list(tools.values())),
        ):
            if value:
                workflow[key] = value
        return workflow

    def _actions(self, steps: dict[str, Any], tools: dict[str, Any], agent: Any) -> list[Any]:
        """Each part that ran, and the engine's action that ran it."""
        made: dict[str, Any] = {}
        for record in self.records.values():
            for name, one in record.made.items():
                if name.startswith(RESULTS):
                    made[name] = self.crate.at(name.removeprefix(RESULTS))
                if made.get(name) is None:
                    made[name] = self.crate.add(
                        f"#made-{quote(name)}",
                        "CreativeWork",
                        name=name,
                        sha256=one.sha256,
                        contentSize=str(one.bytes),
                    )
        controls = []
        for key, record in self.records.items():
            name = key.partition("@")[0]
            before = [made[file] for other in sorted(self.plan.graph.needs[key]) for file in self.records[other].made]
            action = self.crate.add(
                f"#action-{key}",
                "CreateAction",
                name=key,
                description=f"{json.dumps(record.does, ensure_ascii=False)} on {record.node}",
                instrument=tools[name],
                agent=agent,
                object=before,
                result=[made[file] for file in record.made],
                startTime=_iso(record.started),
                endTime=_iso(record.started + record.seconds),
                actionStatus="http://schema.org/CompletedActionStatus",
                resourceUsage=self._usage(key, record),
            )
            controls.append(
                self.crate.add(
                    f"#control-{key}", "ControlAction", name=f"Run {key}", instrument=steps[name], object=action
                )
            )
        return controls

    def _usage(self, key: str, record: Record) -> list[Any]:
        terms = "https://w3id.org/ro/terms/perijove#"
        # Units: UN/CEFACT Recommendation 20 (AD: byte, SEC: second).
        facts = (("memory", record.memory, "AD"), ("cpu", round(record.cpu, 3), "SEC"))
        return [
            self.crate.add(
                f"#usage-{key}-{name}",
                "PropertyValue",
                name=name,
                propertyID=f"{terms}{name}",
                value=str(value),
                unitCode=unit,
            )
            for name, value, unit in facts
        ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _version() -> str:
    import perijove

    return perijove.__version__
