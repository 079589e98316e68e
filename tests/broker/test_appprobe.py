"""The broker looks for apps on its own machine, bounded, whatever the centre's Python does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from broker.runworld import write_app
from broker.simulated import centre
from perijove.hub.broker import appprobe
from perijove.hub.broker.appplaces import Places
from perijove.hub.broker.database import Database
from perijove.hub.broker.sessions import utc_now
from perijove.spawners.apps.catalogue import Catalogue
from perijove.spawners.centre import Centre


def local(name: str, python: str) -> Centre:
    login = {"host": "", "host_keys": [], "account": ""}
    return centre(name, scheduler={"system": "local"}, login=login, environment={"python": python})


def program(folder: Path, text: str) -> str:
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


async def test_each_centre_on_this_machine_is_told_by_its_own_python(tmp_path: Path) -> None:
    write_app(tmp_path / "apps")
    database = Database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    await database.migrate()
    places, apps = Places(database, utc_now), Catalogue([tmp_path / "apps"]).apps()
    bare = program(tmp_path, """echo '{"sums": {"way": null, "missing": []}, "unknown": {}, "odd": 5}'""")
    known = [local("one", sys.executable), local("two", bare), centre("far")]
    await appprobe.tell(places, known, apps, [tmp_path / "apps"])
    found = {name: place.state for name, place in (await places.known())["sums"].items()}
    assert found == {"one": "ready", "two": "missing"} and "unknown" not in await places.known()
    await database.close()


@pytest.mark.parametrize("text", ["exit 1", "echo '{'", "echo '[]'", "yes", "kill -9 $$"])
async def test_a_python_that_says_nothing_sensible_is_no_trouble(tmp_path: Path, text: str) -> None:
    assert await appprobe.look(program(tmp_path, text), ()) == {}


async def test_one_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appprobe, "LONGEST", 0.2)
    assert await appprobe.look(program(tmp_path, "exec sleep 600"), ()) == {}
    assert await appprobe.look(str(tmp_path / "none"), ()) == {}
