"""What a run's process is told: its order, `run.json`, from the broker's words of the run and the session's facts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perijove.spawners.facts import Facts
from perijove.spawners.request import BadRequest
from perijove.widgets.appdata import AppData
from perijove.widgets.clustererror import ClusterError


def order(view: Mapping[str, Any], app: Any, facts: Facts, data: AppData) -> dict[str, Any]:
    """The order of the run that the broker has as `view`; `app` is the manifest. Blocks: sizes of files count.

    Raises:
        ClusterError: the inputs are none of this app's.
    """
    from perijove.spawners.apps.inputs import Inputs
    from perijove.spawners.apps.needs import needs

    try:
        inputs = Inputs(app).parse(view.get("inputs") or {})
    except BadRequest as bad:
        raise ClusterError("bad-inputs", {}, f"the run's inputs do not fit this app: {bad}") from None
    takes = needs(app, inputs, facts.cores or os.cpu_count())
    own = bool(view.get("own_session"))
    return {
        "run": view["id"], "app": app.name, "app_version": app.version, "digest": app.digest,
        "app_folder": str(app.folder), "inputs": inputs,
        "language": view.get("language") or facts.language or "en",
        "cores": facts.cores or os.cpu_count() or 1, "memory": facts.memory,
        # A small case needs no workers: it is done before they would have come.
        "workers": takes.workers if own or not takes.small else 0,
        "worker": takes.worker.model_dump() if hasattr(takes.worker, "model_dump") else _plain(takes.worker),
        "owner": view.get("owner") or os.environ.get("JUPYTERHUB_USER", ""), "centre": facts.centre,
        "session": facts.session, "parent": view.get("parent"), "relation": view.get("relation"),
        "queue": facts.queue,
        # Where centres link it into the home, such a link leads to files of one's own.
        "roots": [str(Path(facts.scratch).expanduser())] if facts.scratch else [],
        "datasets": data.paths(), "lies": data.lies or {},
    }  # fmt: skip


def _plain(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in ("cores", "memory", "walltime") if hasattr(value, name)}
