"""What does not go together in an app's manifest: unknown names, values that do not fit, missing files.

Each check yields the key path and words; the manifest is known to be well-formed. Nothing is imported or run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from perijove.spawners.apps.expressions import FUNCTIONS, BadExpression, parse
from perijove.spawners.apps.filechecks import files
from perijove.spawners.apps.inputchecks import inputs
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.needs import needs
from perijove.spawners.apps.parts import Resources
from perijove.spawners.centrefaults import nearest
from perijove.spawners.request import BadRequest
from perijove.spawners.tomllines import Key

Found = Iterator[tuple[Key, str]]

#: What expressions may use beside inputs, by key; all others may use both.
_BESIDE = {"cores": (), "workers": ("cores",), "seconds": ("cores", "workers")}
_EXPRESSIONS = [name for name in Resources.model_fields if name != "worker"]
_MARKDOWN = re.compile(r"`[^`]+`|\*\*[^*]+\*\*|\[[^\]]*\]\(https?:")
_COMPARE = {"number": {"value"}, "table": {"rows", "sha256"}, "file": {"sha256"}, "figure": {"sha256"}}


def inconsistencies(app: App) -> list[tuple[Key, str]]:
    """Everything that does not go together, as key path and words."""
    names = list(chain(_codes(app), _ways(app), _data(app), _outputs(app), _steps(app), _cites(app), files(app)))
    asked = list(chain(inputs(app), _expressions(app)))
    if asked:
        return names + asked  # what rests on inputs would be said once more
    return names + list(chain(_presets(app), _values(app)))


def _codes(app: App) -> Found:
    for name, code in app.codes.items():
        key = ("codes", name)
        if bool(code.program) == bool(code.imports):
            yield key, "needs exactly one of `program` and `import`"
        if code.version and code.version[0] != code.program:
            yield (*key, "version"), f"asks another program: its first word must be {code.program!r}"
        if not (code.module or code.apt or code.pypi or code.container):
            yield key, "says nowhere how it is provided: give `apt`, `pypi`, `module` or `container`"


def _ways(app: App) -> Found:
    seen: set[str] = set()
    for index, way in enumerate(app.ways):
        key = ("ways", index)
        if way.name in seen:
            yield (*key, "name"), f"{way.name!r} is the name of an earlier way, too"
        seen.add(way.name)
        for place, code in enumerate(way.codes):
            if code not in app.codes:
                yield (*key, "codes", place), _unknown(code, "a code of [codes]", app.codes)
    used = {code for way in app.ways for code in way.codes}
    for name in app.codes:
        if name not in used:
            yield ("codes", name), "is used by none of the ways"


def _data(app: App) -> Found:
    for name, one in app.data.items():
        source, key = one.source, ("data", name, "source")
        kinds = [bool(source.app), bool(source.python), bool(source.path and not source.python), bool(source.dataset)]
        if sum(kinds) != 1:
            yield key, "must be one of app, python (with path), path and dataset"
        elif source.python and (source.path.startswith("/") or not _plain(source.path)):
            yield key, "needs the path of a file inside the package, without a leading slash or '..'"
        elif kinds[2] and not (source.path.startswith("/") and _plain(source.path[1:])):
            yield key, "needs an absolute path without '..'"


def _plain(path: str) -> bool:
    return path.isprintable() and not {"", ".", ".."} & set(path.split("/"))


def _outputs(app: App) -> Found:
    for name, one in app.outputs.items():
        key = ("outputs", name)
        if one.kind == "figure" and one.alt is None:
            yield key, "is a figure and needs `alt`: words for those who do not see it"
        if one.compare not in (None, "none") and one.compare not in _COMPARE[one.kind]:
            yield (*key, "compare"), f"does not go with a {one.kind}"
        if one.unit and one.kind != "number":
            yield (*key, "unit"), "goes with numbers only"


def _steps(app: App) -> Found:
    for name, step in app.steps.items():
        if step.progress and "(?P<done>" not in step.progress.pattern:
            yield ("steps", name, "progress", "pattern"), "needs the group (?P<done>...)"


def _cites(app: App) -> Found:
    """How to cite is shown, and copied, as it stands."""
    named: list[tuple[Key, str]] = [(("cite",), app.cite)]
    named += [(("codes", name, "cite"), code.cite) for name, code in app.codes.items()]
    named += [(("data", name, "cite"), data.cite) for name, data in app.data.items()]
    for key, text in named:
        if _MARKDOWN.search(text):
            yield key, "is shown as it stands: write it without Markdown (no `, no **, no [text](address))"


def _expressions(app: App) -> Found:
    for key in _EXPRESSIONS:
        beside = _BESIDE.get(key, ("cores", "workers", "seconds"))
        known = {*app.inputs, *beside}
        try:
            used = parse(getattr(app.needs, key)).names
        except BadExpression as error:
            yield ("needs", key), str(error)
            continue
        for name in sorted(used - known):
            yield ("needs", key), _unknown(name, "an input", [*known, *FUNCTIONS])


def _presets(app: App) -> Found:
    seen: set[str] = set()
    for index, preset in enumerate(app.presets):
        key = ("presets", index)
        if preset.name in seen:
            yield (*key, "name"), f"{preset.name!r} is the name of an earlier preset, too"
        seen.add(preset.name)
        try:
            values = Inputs(app).parse(preset.inputs)
        except BadRequest as bad:
            for fault in bad.faults:
                yield (*key, "inputs", fault.field), f"{fault.field}: {fault.message}"
            continue
        try:
            needs(app, values)
        except BadExpression as error:
            yield key, f"with this preset {error}"


def _values(app: App) -> Found:
    """The expressions, with what stands in the form at first."""
    try:
        values = Inputs(app).parse({})
    except BadRequest as bad:
        if all(fault.code == "missing" and app.inputs[fault.field].type == "file" for fault in bad.faults):
            return  # a file has no default: presets try the expressions
        raise
    try:
        needs(app, values)
    except BadExpression as error:
        yield ("needs",), f"with the defaults {error}"


def _unknown(name: str, what: str, known: object) -> str:
    near = nearest(name, list(known) if isinstance(known, list | dict) else [])
    return f"{name!r} is not {what}" + (f"; is {near!r} meant?" if near else "")
