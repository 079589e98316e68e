"""What the gateway that runs with some settings says of its centres: the part of `perijove doctor` that asks it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from perijove.hub.cli import api
from perijove.hub.cli.words import N_, _
from perijove.hub.settings import Settings
from perijove.spawners.batch import BatchError, BatchProblem
from perijove.spawners.link import LinkError, LinkProblem
from perijove.spawners.trialwords import Step, mend_batch, mend_launcher, mend_link, older_launcher
from perijove.spawners.visible import visible


def check(settings: Settings) -> list[Step]:
    """One step for the gateway, and one for each of its centres that an operator would look at. Changes nothing."""
    file = settings.state_dir / "broker.token"
    try:
        with api.Api(settings.broker_api_url, file.read_text(encoding="ascii").strip()) as gateway:
            answer = gateway.call("GET", "/watchers")
    except OSError:
        words = _("it was never started: {file} is not there, or not for us").format(file=file)
        return [Step(N_("gateway"), "skipped", 0.0, words)]
    except api.ApiFailed as failed:
        words = _("its centres were not asked for: {why}").format(why=failed.message)
        return [Step(N_("gateway"), "skipped", 0.0, words)]
    rows = answer.get("watchers", []) if isinstance(answer, dict) else []
    steps = [step for row in rows for step in _centre(row)]
    return [Step(N_("gateway"), "ok", 0.0, _("it runs, with {count} centres").format(count=len(rows))), *steps]


def tell(settings: Settings, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Tell the gateway, if it runs, what the nodes of centres have of each app (by centre, then by app)."""
    with suppress(OSError, api.ApiFailed):
        token = (settings.state_dir / "broker.token").read_text(encoding="ascii").strip()
        with api.Api(settings.broker_api_url, token) as gateway:
            for centre, apps in found.items():
                for app, one in apps.items():
                    with suppress(api.ApiFailed):  # an app that this gateway does not have
                        gateway.send("PUT", f"/apps/{app}/places/{centre}", one)


def _centre(row: Mapping[str, Any]) -> list[Step]:
    name, steps = visible(row.get("id"), 40), []
    if row.get("answering") is False:
        words = _("has not answered since {since}: {detail}").format(
            since=visible(row.get("unknown_since"), 40), detail=visible(row.get("detail"), 300)
        )
        steps.append(Step(name, "failed", 0.0, words, _mend(str(row.get("problem")), str(row.get("detail")))))
    launcher = row.get("launcher") or {}
    if older := older_launcher(launcher.get("version")):
        steps.append(Step(name, "advice", 0.0, older, mend_launcher(launcher.get("path"))))
    if row.get("lease") == "nobody":
        words = _("no process of the gateway looks after it")
        steps.append(Step(name, "failed", 0.0, words, _("see the broker's log; restart the gateway")))
    if drain := row.get("drained"):
        words = _("takes no new sessions since {since} ({who})").format(
            since=visible(drain.get("since"), 40), who=visible(drain.get("by"), 60)
        )
        note = f": {visible(drain['note'], 300)}" if drain.get("note") else ""
        mend = _("when it may again: perijove centres undrain {centre}").format(centre=name)
        steps.append(Step(name, "advice", 0.0, words + note, mend))
    return steps


def _mend(problem: str, detail: str) -> str:
    """What to do about a failure of the watcher's; see `perijove.spawners.watcher.Failure`."""
    kind, _sign, batch = problem.partition("batch-")
    try:
        if batch:
            return mend_batch(BatchError(BatchProblem(batch), detail))
        return mend_link(LinkError(LinkProblem(kind), detail))
    except ValueError:  # of a newer broker
        return _("try it: perijove doctor CENTRE")
