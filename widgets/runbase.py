"""What the addresses of an app's page share: the session they belong to, and answers and refusals in JSON.

A page that only watches is no sign that somebody works; a run that goes on is (`Perijove._note_work`).
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from perijove.spawners.apps.inputwords import words
from perijove.spawners.request import BadRequest
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.runs import NoRun, Run, Runs
from perijove.widgets.way import Unreachable
from tornado import web

_STATUS = {"bad-request": 400, "no-gateway": 503, "no-token": 503, "no-cluster": 404, "forbidden": 403}


class OfApp(ExtensionHandlerMixin):
    """What all of them share."""

    _track_activity = False

    @property
    def session(self) -> Any:
        """The server's app (`perijove.widgets.appsession.AppSession`)."""
        return self.extensionapp.app  # type: ignore[attr-defined]

    @property
    def runs(self) -> Runs:
        """Its runs."""
        found: Runs = self.session.runs
        return found

    def run_of(self, identity: str) -> Run:
        """Raises HTTPError 404."""
        try:
            return self.runs.get(identity)
        except NoRun:
            raise web.HTTPError(404, "there is no such run in this session") from None


class Json(OfApp, APIHandler):
    """Answers and refusals are JSON."""

    def asked(self) -> dict[str, Any]:
        """The body. Raises HTTPError 400."""
        try:
            found = json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise web.HTTPError(400, "the body is no JSON object")
        return found

    def say(self, content: Any, status: int = 200) -> None:
        """An answer that nobody keeps."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(content))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, BadRequest):
            faults = faults_of(error, self.session.language)
            self.say({"error": "bad-request", "message": str(error), "faults": faults}, 400)
        elif isinstance(error, ClusterError):
            said = {"error": error.code, "message": str(error), "values": error.values}
            self.say(said, _STATUS.get(error.code, 409))
        elif isinstance(error, Unreachable):
            self.say({"error": "broker-silent", "message": str(error), "values": {}}, 503)
        else:
            message = str(getattr(error, "log_message", None) or self._reason)
            self.say({"error": f"http-{status_code}", "message": message, "values": {}}, status_code)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, ClusterError | Unreachable | BadRequest):
            super().log_exception(typ, value, tb)


def faults_of(bad: BadRequest, language: str) -> list[dict[str, Any]]:
    """Its faults as JSON, in words of `language`."""
    return [
        {"field": one.field, "code": one.code, "message": words(one, language), "values": dict(one.values)}
        for one in bad.faults
    ]
