"""The data sets of centres that an app reads: at which centres each lies, and the words where it does not lie here.

The app's manifest names a data set (`source = {dataset = "..."}`), the centres' descriptions say where it lies; the
broker, which knows both, tells it with the app (`lies` of each of its data), and a session makes paths of what is said
of its own centre. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perijove.spawners.apps.inputwords import Wrong, fault
from perijove.spawners.apps.manifest import App
from perijove.spawners.request import Fault

if TYPE_CHECKING:
    from perijove.spawners.centre import Centre

#: Of each of the app's data that lies at centres, by its name in the manifest: {"centre", "name": {en, zh}, "path"}.
Lies = Mapping[str, Sequence[Mapping[str, Any]]]
_DATA = "data:"


def lies(app: App, centres: Iterable[Centre]) -> dict[str, list[dict[str, Any]]]:
    """Where the data of `app` that centres keep lie."""
    known = list(centres)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, one in app.data.items():
        if one.source.dataset:
            found[name] = [
                {"centre": centre.id, "name": centre.name.model_dump(), "path": str(there.path)}
                for centre in known
                for there in centre.datasets
                if there.name == one.source.dataset
            ]
    return found


def paths(app: App, said: Lies, centre: str, account: str) -> dict[str, str]:
    """Where data sets lie at `centre` for a person with that `account`, by the names that the centre gives them."""
    return {
        app.data[name].source.dataset: str(one["path"]).replace("{account}", account)
        for name, places in said.items()
        if name in app.data
        for one in places
        if one.get("centre") == centre
    }


def chosen(app: App, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The data sets of centres that the inputs name: by input, the name in the manifest."""
    named = {
        name: value.removeprefix(_DATA)
        for name, value in inputs.items()
        if name in app.inputs and app.inputs[name].type == "file" and isinstance(value, str) and value.startswith(_DATA)
    }
    return {name: data for name, data in named.items() if data in app.data and app.data[data].source.dataset}


def names(app: App, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that centres give to the data sets that the inputs name."""
    return tuple(dict.fromkeys(app.data[data].source.dataset for data in chosen(app, inputs).values()))


def elsewhere(app: App, inputs: Mapping[str, Any], said: Lies, centre: str) -> list[Fault]:
    """A fault for each input whose data set does not lie at `centre` ("" for any centre at all)."""
    faults = []
    for name, data in chosen(app, inputs).items():
        places = said.get(data, ())
        if any(centre in ("", one.get("centre")) for one in places):
            continue
        title = app.data[data].title
        values = {"data": title.en, "data_zh": title.zh}
        if places:
            values |= {"known": listed(places)["en"], "known_zh": listed(places)["zh"]}
        faults.append(fault(name, Wrong("data-elsewhere" if places else "data-nowhere", **values)))
    return faults


def listed(places: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The centres' names in a row, in both languages."""
    known = [one.get("name") or {} for one in places]
    return {
        "en": ", ".join(str(name.get("en") or "") for name in known),
        "zh": "、".join(str(name.get("zh") or name.get("en") or "") for name in known),
    }
