"""From a run's order to what will be done: inputs checked, codes and files found, the pipeline asked for its steps.

`run.json` is the order: {"app", "digest", "app_folder", "inputs", "language", "cores", "memory", "owner", "centre"...},
and maybe "datasets" (paths of the centre's data sets by name), "lies" (at which centres the app's data lie), "home"
(where the person's files are) and "roots" (further folders into which links in the home may lead, such as a scratch
file system).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perijove.spawners.apps import codes
from perijove.spawners.apps.call import load, where
from perijove.spawners.apps.case import Case, MissingCode
from perijove.spawners.apps.centredata import listed
from perijove.spawners.apps.codes import Words
from perijove.spawners.apps.expressions import BadExpression
from perijove.spawners.apps.graph import Graph, graph
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.needs import needs
from perijove.spawners.apps.parts import Data
from perijove.spawners.apps.probe import Found, look, program_path
from perijove.spawners.apps.records import stamp
from perijove.spawners.apps.steps import BadPipeline, Unfit
from perijove.spawners.apps.task import Outcome
from perijove.spawners.request import BadRequest


class Unready(Exception):
    """The run cannot begin; the outcome says why, as a failure."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes:
        seconds: The manifest's estimate.
        base: What went into every step: for the fingerprints.
    """

    app: App
    order: Mapping[str, Any]
    case: Case
    graph: Graph
    found: Found
    seconds: float | None
    base: Mapping[str, Any]
    given: Mapping[str, Any]

    def codes(self) -> list[dict[str, str]]:
        """The codes of the way that is taken."""
        way = self.app.way(self.case.way)
        named = [(name, self.app.codes[name]) for name in (way.codes if way else ())]
        return [
            {
                "name": name,
                "title": code.title,
                "version": self.case.codes.get(name, ""),
                "licence": code.licence,
                "cite": code.cite,
            }
            for name, code in named
        ]

    def data(self, used: Iterable[str]) -> list[dict[str, Any]]:
        """The data sets that the pipeline, an input or one of `used` names."""
        names = self.case.used | set(used)
        names |= {str(value)[5:] for value in self.given.values() if str(value).startswith("data:")}
        return [
            {"name": name, "title": one.title.model_dump(), "licence": one.licence, "cite": one.cite}
            for name, one in self.app.data.items()
            if name in names
        ]

    def missing(self, name: str) -> tuple[Words, Words]:
        """What happened and what to do where a program or a data set is not here."""
        return missing(self.app, name, self.order)


def missing(app: App, name: str, order: Mapping[str, Any]) -> tuple[Words, Words]:
    """What happened and what to do where a program or a data set is not here."""
    if name in app.data and app.data[name].source.dataset:
        return _elsewhere(app.data[name], (order.get("lies") or {}).get(name) or ())
    known: dict[str, Any] = dict(app.data) | dict(app.codes)
    known |= {code.program: code for code in app.codes.values() if code.program and code.program not in known}
    one = known.get(name)
    if one is None:
        return codes.words("missing-code", name), codes.advice("missing-code")
    title = one.title if isinstance(one.title, str) else ""
    words = codes.words("missing-code", title) if title else codes.said("missing-code", one.title.model_dump())
    ways = [
        text.format(value)
        for key, text in (("apt", "apt-get install {}"), ("module", "module load {}"), ("pypi", "pip install {}"))
        if (value := getattr(one, key, ""))
    ]
    if not ways:
        return words, codes.advice("missing-code")
    advice = codes.advice("missing-code")
    listed = " / ".join(ways)
    return words, {"en": f"{advice['en']} ({listed})", "zh": f"{advice['zh']}（{listed}）"}


def _elsewhere(data: Data, places: Sequence[Mapping[str, Any]]) -> tuple[Words, Words]:
    """The same for a data set that centres keep."""
    title, known = data.title, listed(places)
    words = {"en": f"{title.en} is not to be found at this centre.", "zh": f"该中心没有数据集“{title.zh}”。"}
    if not places:
        return words, {"en": "Choose other data.", "zh": "请选择其他数据。"}
    return words, {
        "en": f"It lies at {known['en']}: run there, or choose other data.",
        "zh": f"以下中心有此数据集：{known['zh']}。请改在那里运行，或选择其他数据。",
    }


def plan(folder: Path, app: App, cores: int) -> Plan:
    """What the order in `folder` asks for.

    Raises:
        Unready: an input is no good, no way is complete, or another version of the app lies here.
        BadPipeline: the pipeline is at fault.
    """
    order = json.loads((folder / "run.json").read_bytes())
    if order.get("digest") and order["digest"] != app.digest:
        raise Unready(
            Outcome().fails("internal", f"{app.folder} holds another version of {app.name} than was asked for")
        )
    found = look(app, order.get("datasets"))
    if found.way is None:
        raise Unready(_no_way(app, found, order))
    try:
        given = Inputs(app).parse(order.get("inputs") or {})
    except BadRequest as error:
        fault = error.faults[0]
        outcome = Outcome(input=fault.field).fails("bad-input", f"{fault.field}: {fault.message}")
        raise Unready(outcome) from None
    way = app.way(found.way)
    used = way.codes if way else ()
    case = Case(
        inputs=_files(app, given, found, order),
        way=found.way,
        cores=cores,
        here=app.folder,
        work=folder / "work",
        results=folder / "results",
        language=order.get("language") or "en",
        codes={name: found.codes[name] or "" for name in used},
        programs={
            name: path
            for name, code in app.codes.items()
            if code.program and found.codes[name] is not None and (path := program_path(code.program))
        },
        datasets={name: Path(path) for name, path in found.data.items() if path is not None},
    )
    try:
        seconds: float | None = needs(app, given, cores).seconds
    except BadExpression:
        seconds = None
    pipeline = app.folder / app.pipeline
    base = {
        "pipeline": hashlib.sha256(pipeline.read_bytes()).hexdigest(),
        "inputs": given,
        "app": app.digest,
        # A step's function may read any of them, and no argument of the step need name it.
        "data": {name: stamp(path, (app.folder,)) for name, path in case.datasets.items()},
        "files": {n: stamp(value, (app.folder,)) for n, value in case.inputs.items() if isinstance(value, Path)},
        "way": case.way,
        "codes": dict(case.codes),
        "language": case.language,
    }
    return Plan(app, order, case, _graph(app, case, pipeline, order), found, seconds, base, given)


def _graph(app: App, case: Case, pipeline: Path, order: Mapping[str, Any]) -> Graph:
    module = load(pipeline)
    try:
        made = module.steps(case)
    except MissingCode as error:
        outcome = Outcome(missing=error.name)
        words, outcome.advice = missing(app, error.name, order)
        raise Unready(outcome.fails("missing-code", words)) from None
    except Unfit as error:
        outcome = Outcome(input=error.input or None)
        raise Unready(outcome.fails("bad-input", codes.said("bad-input", error.words))) from None
    except BadPipeline:
        raise
    except Exception as error:
        raise BadPipeline(f"steps(case) failed: {type(error).__name__}: {error}{where(error)}") from error
    return graph(made, app.steps)


def _no_way(app: App, found: Found, order: Mapping[str, Any]) -> Outcome:
    """No way is complete: names what the first one lacks, and how to get it."""
    lacking = [name for name in app.ways[0].codes if found.codes.get(name) is None]
    outcome = Outcome(missing=lacking[0] if lacking else app.name)
    words, outcome.advice = missing(app, outcome.missing, order)
    return outcome.fails("missing-code", words)


def _files(app: App, given: Mapping[str, Any], found: Found, order: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with files as paths that are there and lie where they may."""
    home = Path(order.get("home") or Path.home())
    roots = [home.resolve(), *(Path(root).resolve() for root in order.get("roots") or ())]
    values = dict(given)
    for name, value in given.items():
        if app.inputs[name].type != "file" or value is None:
            continue
        if value.startswith("data:"):
            place = found.data.get(value[5:])
            if place is None:
                outcome = Outcome(missing=value[5:], input=name)
                words, outcome.advice = missing(app, value[5:], order)
                raise Unready(outcome.fails("missing-code", words))
            values[name] = Path(place)
            continue
        path = (home / value).resolve()
        if not any(path.is_relative_to(root) for root in roots):
            raise Unready(_bad(name, "it leads out of your own files", "该路径指向您自己的文件之外"))
        if not path.is_file() and not path.is_dir():
            raise Unready(_bad(name, f"there is no file {value}", f"文件 {value} 不存在"))
        values[name] = path
    return values


def _bad(name: str, en: str, zh: str) -> Outcome:
    return Outcome(input=name).fails("bad-input", codes.said("bad-input", {"en": f"{en}.", "zh": f"{zh}。"}))
