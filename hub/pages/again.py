"""Starting again: with the same options, with what was missing, or at another centre. Pure; all of it links and fields.

The button that mends a failure fills in the start page with the one change that would have helped. It does not start by
itself: more memory or more time costs more, and what it costs is known there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from perijove.hub.pages.formats import Formats
from perijove.hub.pages.startform import DEFAULTS, OPTION, from_query

Json = Mapping[str, Any]
#: Ways of ending that another centre mends.
ELSEWHERE = frozenset({"node-failed", "launch-failed", "preempted"})


@dataclass(frozen=True, slots=True)
class Mend:
    """What would mend a failure: words of a button, and the query of the start page."""

    words: str
    query: str
    icon: str


def options(session: Json, *, placed: bool = True) -> dict[str, str]:
    """The options of a session, fit for a link; with `placed` those of its centre and queue, too."""
    asked = session.get("request")
    if isinstance(asked, Mapping):
        found = {str(k): str(v) for k, v in asked.items() if isinstance(v, str | int) and not isinstance(v, bool)}
        if isinstance(asked.get("data"), list | tuple):
            found["data"] = ",".join(str(name) for name in asked["data"])
        if isinstance(asked.get("options"), Mapping):
            found |= {f"{OPTION}{key}": str(value) for key, value in asked["options"].items()}
        if session.get("walltime"):
            found.setdefault("walltime", f"{session['walltime']}s")  # the queue's usual time, if none was asked for
    else:
        units = {"cores": "", "memory": "M", "gpus": "", "walltime": "s"}
        found = {key: f"{session[key]}{unit}" for key, unit in units.items() if session.get(key) is not None}
    found.pop("server", None)
    found.pop("language", None)  # the page's counts
    found |= {"centre": str(session.get("centre") or ""), "queue": str(session.get("queue") or "")}
    return {k: v for k, v in found.items() if v and (placed or k not in ("centre", "queue"))}


def query(session: Json, **changes: str) -> str:
    """The query of the start page filled in as the session was asked for; `changes` on top."""
    return urlencode(options(session) | changes)


def elsewhere(session: Json) -> str:
    """The query of the start page for the same at another centre; the options are kept."""
    return urlencode(options(session, placed=False) | {"instead": str(session["id"])})


def fields(session: Json, server: str) -> list[tuple[str, str]]:
    """The fields of a form that starts the same again, for no more than it cost at most."""
    form = from_query(options(session).items())
    kept = {key: value for key, value in form.items() if key not in ("centre", "queue")}
    most = {"most": str(int(session.get("price") or 0))}
    return [*({**{key: "" for key in DEFAULTS}, **kept, "server": server} | most).items()]


def mend(session: Json, queue: Json, fmt: Formats) -> Mend | None:
    """The button that mends how the session ended; `queue` is the API's description of its queue, perhaps empty."""
    _, outcome = fmt.language.gettext, str(session.get("outcome") or "")
    if outcome == "memory":
        return _more(session, "memory", int(session.get("memory") or 0), queue.get("memory"), fmt)
    if outcome == "walltime":
        return _more(session, "walltime", int(session.get("walltime") or 0), queue.get("max_time"), fmt)
    if outcome in ELSEWHERE:
        return Mend(_("Start at another centre"), elsewhere(session), "shuffle")
    return None


def _more(session: Json, field: str, had: int, most: object, fmt: Formats) -> Mend | None:
    """Twice as much, or all that the queue gives; at another place if this one gives no more."""
    _, unit = fmt.language.gettext, "M" if field == "memory" else "s"
    if not had:
        return None
    limit = int(most) if isinstance(most, int) and most > 0 else None
    wanted = min(2 * had, limit) if limit and limit > had else 2 * had
    words = fmt.amount(field, wanted)
    if limit is not None and limit <= had:
        text = _("Look for a place with {amount}").format(amount=words)
        return Mend(text, urlencode(options(session, placed=False) | {field: f"{wanted}{unit}"}), "magnifying-glass")
    return Mend(
        _("Start with {amount}").format(amount=words),
        query(session, **{field: f"{wanted}{unit}"}),
        "wand-magic-sparkles",
    )
