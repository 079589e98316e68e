"""What several rooms share: stores on SQLite and (marked `real`) PostgreSQL, and the order of the files where several
processes share the tests (`make test`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private PostgreSQL of Debian's package, reached by a unix socket alone."""
    if PROGRAMS is None:
        say = pytest.fail if os.environ.get("PERIJOVE_REAL") == "1" else pytest.skip
        say("PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path("/tmp") / f"pj-pg-{os.getpid()}"
    folder.mkdir(mode=0o700)
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "nobody")

    def run(*command: object) -> None:
        quiet = subprocess.DEVNULL
        subprocess.run([str(word) for word in command], check=True, cwd="/", stdout=quiet, stderr=quiet, **user)

    data = folder / "data"
    run(PROGRAMS / "initdb", "-D", data, "-U", "perijove", "-A", "trust", "-N")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    run(PROGRAMS / "pg_ctl", "-D", data, "-w", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://perijove@/postgres?host={folder}"
    finally:
        run(PROGRAMS / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    import psycopg

    server: str = request.getfixturevalue("postgresql")
    plain = server.replace("+psycopg", "")
    name = f"t{os.urandom(6).hex()}"
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield server.replace("/postgres?", f"/{name}?")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with long tests are begun first: otherwise one process is at work on them long after the others."""
    if getattr(config.option, "loadscopereorder", True):
        return  # alone, or by the number of tests
    long: set[Path] = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
