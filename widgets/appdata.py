"""The data sets of centres, as an app's session knows them: the gateway says where they lie, this machine whose it is.

Asked at the session's start and before each run, where the app reads any at all; while the gateway is away what it said
last stands.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from perijove.spawners.apps import centredata
from perijove.spawners.apps.manifest import App
from perijove.spawners.facts import Facts
from perijove.spawners.request import Fault
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.way import Unreachable, Way


class AppData:
    """Where the data sets of centres that one app reads lie."""

    def __init__(self, facts: Facts, app: App, way: Callable[[], Way]) -> None:
        self._facts, self._app, self._way = facts, app, way
        #: What the gateway said last; None: nothing yet.
        self.lies: centredata.Lies | None = None if any(one.source.dataset for one in app.data.values()) else {}

    async def ask(self, *, again: bool = True) -> None:
        """Ask the gateway; without `again` only if it has not answered yet."""
        if self.lies == {} or not (again or self.lies is None):
            return
        with suppress(Unreachable, ClusterError):
            said = (await self._way().broker("GET", f"/apps/{quote(self._app.name, safe='')}")).good()
            self.lies = {str(one["name"]): one["lies"] for one in said.get("data") or () if one.get("lies") is not None}

    def paths(self) -> dict[str, str]:
        """Where they are on this machine, by the names that centres give them."""
        return centredata.paths(self._app, self.lies or {}, self._facts.centre, _account())

    def away(self, inputs: Mapping[str, Any]) -> list[Fault]:
        """What is wrong with inputs whose data sets lie at other centres, as far as the gateway has told."""
        return centredata.elsewhere(self._app, inputs, self.lies, self._facts.centre) if self.lies else []


def _account() -> str:
    """The account that this session runs under."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container that does not know its own user
        return os.environ.get("USER", "")
