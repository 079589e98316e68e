"""The fields of the start form, and what they are for the API, for a link, and for next time. Pure.

The form speaks as people do (hours, GiB; "90m" and "512M" work too), the API in its own units. Links may carry the
API's options (`?centre=..&cores=4&walltime=2h`, also with JupyterHub's `opt-` prefix).

The last choice is remembered in a cookie that we sign, and not in the browser's local storage: the page comes filled
in with its first byte and without a script, no script of a notebook on the same origin can read or change it, and it
counts for the person who made it alone. It holds what was asked for; where it should run is chosen anew, since queues
change from hour to hour, but the last place is marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from perijove.spawners.request import below
from perijove.spawners.units import memory_from, time_from

#: The resources of the form and what stands in an empty one.
DEFAULTS = {"cores": "1", "memory": "", "gpus": "0", "walltime": "1"}
#: All fields that carry faults of their own.
FIELDS = (*DEFAULTS, "server", "project")
#: What matters to the person, as the API names it.
PREFERENCES = ("balanced", "start", "price", "data")
#: Fields of the form that are no options of a request; the language is the page's, whatever a link says.
OWN = frozenset(
    {"place", "server", "centre", "queue", "_xsrf", "action", "instead", "prefer", "most", "data", "language"}
)
#: A wanted data set is a field of its own with this prefix, since a form's fields are read one value each.
DATA = "data."
#: So is what the kind of session needs to know: which app, with which inputs.
OPTION = "options."
#: A plain number, which stands for the field's own unit.
_PLAIN = re.compile(r"\d{1,9}(\.\d{1,3})?", re.ASCII)
#: The longest value that is worth remembering.
_LONGEST = 60


def from_query(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The form's fields from a link's options; of unknown ones the names are kept, to be refused with words."""
    form: dict[str, str] = {}
    for key, value in list(query)[:50]:
        name = key.removeprefix("opt-")
        if name == "data":
            form |= {f"{DATA}{one.strip()}": "1" for one in value[:500].split(",") if one.strip()}
        elif name not in ("lang", "next"):
            form[name] = value[:500]
    try:
        if "open" in form:
            below(form["open"])
    except ValueError:
        del form["open"]  # the form does not show it: a fault there could not be mended
    for name, read in (("memory", memory_from), ("walltime", time_from)):
        raw = form.get(name, "").strip()
        try:
            amount = read(int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 15 else raw) if raw else 0
        except ValueError:
            continue
        if amount:
            form[name] = field_text(name, amount)
    if form.get("centre") and not form.get("place"):
        form["place"] = f"{form['centre']}/{form.get('queue', '')}"
    return form


def in_form(amount: float, size: int) -> str:
    """An amount in the form's unit of `size` if it can be written shortly, else ""."""
    return f"{amount / size:.3f}".rstrip("0").rstrip(".") if amount % (size / 8) == 0 else ""


def field_text(field: str, value: float) -> str:
    """The API's `value` (MiB, seconds, or a count) as one would type it into `field`."""
    if field == "memory":
        return in_form(value, 1024) or f"{value:.0f}M"
    if field == "walltime":
        return in_form(value, 3600) or (f"{value:.0f}s" if value % 60 else f"{value / 60:.0f}m")
    return f"{value:.0f}"


def options_of(form: Mapping[str, str]) -> dict[str, str]:
    """A request's options from the form's fields; plain numbers of memory and time get their units."""
    known = {*DEFAULTS, *OWN}
    options = {
        key: value.strip()
        for key, value in form.items()
        if key not in known and not key.startswith(DATA) and value.strip()
    }
    for key, unit in (("cores", ""), ("memory", "G"), ("gpus", ""), ("walltime", "h")):
        value = form.get(key, DEFAULTS[key]).strip()
        if value:
            options[key] = f"{value}{unit}" if _PLAIN.fullmatch(value) else value
    centre, _, queue = form.get("place", "").partition("/")
    return options | {key: value for key, value in (("centre", centre), ("queue", queue)) if value}


def preference_of(form: Mapping[str, str]) -> str:
    """What matters to the person."""
    return form["prefer"] if form.get("prefer") in PREFERENCES else PREFERENCES[0]


def data_of(form: Mapping[str, str]) -> list[str]:
    """The data sets that the person wants to lie at the centre."""
    return [key.removeprefix(DATA) for key in form if key.startswith(DATA) and key != DATA][:50]


def request_of(form: Mapping[str, str]) -> dict[str, Any]:
    """A request's options with the data sets that are wanted, and with what its kind needs to know."""
    flat = options_of(form)
    kind = {key.removeprefix(OPTION): flat.pop(key) for key in list(flat) if key.startswith(OPTION)}
    return flat | {"data": data_of(form)} | ({"options": kind} if kind else {})


def wish_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The body of a question for offers: the request without a place, and what matters."""
    asked = {key: value for key, value in request_of(form).items() if key not in ("centre", "queue")}
    return asked | {"prefer": preference_of(form)}


def query_of(form: Mapping[str, str], **changes: str) -> str:
    """The query of a link to this very form, with `changes` of its fields."""
    changed = {**form, **changes}
    query: dict[str, str] = options_of(changed)
    if preference_of(changed) != PREFERENCES[0]:
        query["prefer"] = preference_of(changed)
    if data_of(changed):
        query["data"] = ",".join(data_of(changed))
    query |= {name: changed[name].strip() for name in ("server", "instead") if changed.get(name, "").strip()}
    return urlencode(query)


def to_remember(owner: str, form: Mapping[str, str]) -> dict[str, Any]:
    """What the cookie of the last choice holds."""
    kept = {key: form[key] for key in (*DEFAULTS, "project", "budget", "prefer", "place") if form.get(key)}
    kept |= {f"{DATA}{name}": "1" for name in data_of(form)[:10]}
    return {"owner": owner, "form": {k: v for k, v in kept.items() if len(k) <= _LONGEST and len(v) <= _LONGEST}}


def remembered(owner: str, content: Mapping[str, Any] | None) -> tuple[dict[str, str], str]:
    """The form of last time and its place; nothing if somebody else chose it."""
    if not content or content.get("owner") != owner or not isinstance(content.get("form"), dict):
        return {}, ""
    form = {str(key): str(value) for key, value in content["form"].items()}
    return form, form.pop("place", "")
