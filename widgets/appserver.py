"""What a session of kind `app` runs, `python -m perijove.widgets.appserver`: one app's page, and nothing else.

A Jupyter server with our extension and no other one; of Voila we take its renderer, its JavaScript and its template's
machinery, but not its server extension: that adds a file browser and a folder of files, and believes a `voila.json` of
the home directory. The app comes from the broker as a bundle, so that what runs is what the gallery showed, at any
centre; where the broker cannot give it, the app of that name that this installation has is taken. The server's root
directory holds the app's notebook alone.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from perijove.spawners.facts import Facts
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.daskserver import FAILED, only_ours
from perijove.widgets.lab import prepare
from perijove.widgets.way import Unreachable, Way

#: Where the page is, below the server's address: the notebook is called so whatever the app calls it.
NOTEBOOK = "app.ipynb"
#: Seconds between two attempts to reach the broker, and for how long the start of a session is worth them.
RETRY, PATIENCE = 1.0, 30.0
#: The longest a bundle may be, in bytes.
LONGEST = 64 << 20
_NAME_LENGTH = 32


class NoApp(Exception):
    """The app cannot be had; the message says why, and what to do."""


def options(text: str) -> dict[str, str]:
    """The session's options: `app`, and perhaps `run`, `inputs`, `rerun`; all of them text.

    Raises:
        NoApp: no app is named.
    """
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = {}
    kept = {str(k): str(v) for k, v in found.items() if v is not None} if isinstance(found, dict) else {}
    if not kept.get("app") or not kept["app"].replace("-", "").isalnum() or len(kept["app"]) > _NAME_LENGTH:
        raise NoApp("the session's options name no app: open one from the gallery")
    return kept


async def folder_of(name: str, facts: Facts, way: Way | None) -> Path:
    """The folder of the app `name` on this machine: the broker's bundle, or what this installation has.

    Raises:
        NoApp: there is none.
    """
    said = "the gateway is not known here"
    if way is not None:
        base = Path(facts.base or "~/.perijove").expanduser() / "apps"  # noqa: ASYNC240 - nothing else runs yet
        try:
            return await _fetched(name, base, way)
        except (Unreachable, ClusterError, OSError, ValueError) as error:
            said = str(error)
    for folder in _installed():
        if (folder / name / "app.toml").is_file():
            print(f"perijove: the app {name} is the installed one: {said}", file=sys.stderr, flush=True)
            return folder / name
    raise NoApp(f"the app {name!r} cannot be had: {said}; choose another one in the gallery, or ask the gateway")


async def _fetched(name: str, base: Path, way: Way) -> Path:
    """Raises Unreachable, ClusterError, OSError, ValueError."""
    from perijove.spawners.apps import bundle

    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        try:
            answer = await way.broker_bytes("GET", f"/apps/{quote(name, safe='')}/bundle")
            break
        except Unreachable:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(RETRY)
    if answer.code != 200 or len(answer.body or b"") > LONGEST:
        raise ClusterError("no-app", {}, f"the gateway says {answer.code} for this app")
    digest = answer.headers.get("ETag", "").removeprefix("W/").strip('"')
    base.mkdir(parents=True, exist_ok=True, mode=0o700)  # noqa: ASYNC240 - nothing else runs yet
    return await asyncio.to_thread(bundle.unpack, answer.body or b"", digest, base)


def _installed() -> list[Path]:
    """Folders of this installation that have apps; the package is asked for its place only, and not imported."""
    from importlib.util import find_spec

    spec = find_spec("perijove.apps")
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


def page_folder(app: Path, notebook: str) -> Path:
    """A new folder with the app's notebook and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="perijove-page-"))
    shutil.copyfile(app / notebook, folder / NOTEBOOK)
    return folder


def arguments(page: Path) -> list[str]:
    """What the server is told beside what its kind says; a command line goes before files of the home directory."""
    return [
        f"--ServerApp.jpserver_extensions={only_ours()!r}",
        f"--ServerApp.root_dir={page}",
        "--ServerApp.terminals_enabled=False",
        # A page that is open keeps its kernel; one that was left gives its seat back.
        "--MappingKernelManager.cull_idle_timeout=120",
        "--MappingKernelManager.cull_interval=30",
        "--MappingKernelManager.cull_connected=False",
    ]


def prepared(environment: Mapping[str, str]) -> tuple[Path, Path]:
    """The folders of the app and of the page. Raises NoApp."""
    from perijove.spawners.apps.manifest import load

    wanted = options(environment.get("PERIJOVE_OPTIONS", ""))
    way: Way | None = None
    with suppress(ClusterError):
        way = Way.find("", "", environment)
    app = asyncio.run(folder_of(wanted["app"], Facts.read(environment), way))
    try:
        return app, page_folder(app, load(app).notebook)
    except (OSError, ValueError) as error:
        raise NoApp(f"the app {wanted['app']!r} is broken: {error}") from None


def main() -> None:
    """The session's command; arguments are those of `jupyterhub-singleuser`."""
    prepare(os.environ)
    try:
        app, page = prepared(os.environ)
    except NoApp as error:
        print(f"perijove: {error}", file=sys.stderr, flush=True)
        sys.exit(FAILED)
    os.environ["PERIJOVE_APP_FOLDER"] = str(app)
    sys.argv += arguments(page)
    try:
        serve()
    finally:
        shutil.rmtree(page, ignore_errors=True)
    # The extension ran in the module of that name, not in this script.
    from perijove.widgets import apprun

    leave(FAILED if apprun.failed() else 0)


def leave(code: int) -> NoReturn:
    """The end of the process, at once: libraries leave threads behind that wait for ever, and the job would go on."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> Any:
    """JupyterHub's server for one person."""
    from jupyterhub.singleuser import main as singleuser

    return singleuser()


if __name__ == "__main__":
    main()
