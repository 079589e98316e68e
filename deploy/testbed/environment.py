"""The software of the centres: /opt/perijove, with a Python environment for sessions and the launcher.

The environment is built once for each set of dependencies and kept; our own files in it are brought up to date by
every `up` and by `perijove testbed sync`, so that a change of the code arrives in the next job. It is built with
Debian's own Python and at the very path at which the nodes see it, in a mount namespace of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from perijove.testbed.state import State, TestbedError, write

#: What is brought along besides Python files.
_DATA = {".py", ".typed", ".html", ".css", ".js", ".json", ".ipynb", ".toml", ".po", ".mo", ".svg"}
#: A constant: shows the folder $1 as /opt/perijove to the program that follows.
_AT_ITS_PLACE = 'mount --bind "$1" /opt/perijove && shift && exec "$@"'


def top() -> Path:
    """The source tree that this package was imported from.

    Raises:
        TestbedError: it was installed without one.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "pyproject.toml").is_file():
        raise TestbedError("the testbed works from a source tree only: pip install -e .")
    return folder


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((top() / "pyproject.toml").read_text())


def dependencies() -> list[str]:
    """What the environment of a centre needs from outside."""
    data = project()["project"]
    extras = data["optional-dependencies"]
    return [*data["dependencies"], *extras["session"], *extras.get("dask", []), *extras.get("apps", [])]


def build(state: State) -> bool:
    """Build the environment if there is none for today's dependencies. Says whether it did."""
    key = hashlib.sha256(json.dumps(sorted(dependencies())).encode()).hexdigest()
    prefix = state.software / "perijove"
    stamp = prefix / "env/.perijove-key"
    if stamp.exists() and stamp.read_text() == key:
        return False
    fresh = state.software / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    made = not Path("/opt/perijove").exists()
    Path("/opt/perijove").mkdir(parents=True, exist_ok=True)
    try:
        _in_place(fresh, ["/usr/bin/python3", "-m", "venv", "/opt/perijove/env"])
        install = ["/opt/perijove/env/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _in_place(fresh, [*install, *dependencies()])
    finally:
        if made:
            Path("/opt/perijove").rmdir()
    write(fresh / "env/.perijove-key", key, 0o644)
    # Jobs that run now keep the old files open; they are away, as after any upgrade at a real centre.
    if (prefix / "env").exists():
        (prefix / "env").rename(fresh / "old")
    (fresh / "env").rename(prefix / "env")
    shutil.rmtree(fresh)
    return True


def _in_place(prefix: Path, argv: list[str]) -> None:
    command = ["unshare", "--mount", "/bin/sh", "-c", _AT_ITS_PLACE, "sh", str(prefix), *argv]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=1200, check=False, umask=0o022, env=environment
    )
    if done.returncode:
        raise TestbedError(f"{' '.join(argv[:4])}: exit {done.returncode}: {done.stderr[-2000:]}")


def sync(state: State) -> int:
    """Bring our own files up to date, readable for everybody. Returns how many were changed or removed."""
    prefix = state.software / "perijove"
    site = next((prefix / "env/lib").glob("python3*/site-packages"), None)
    if site is None:
        raise TestbedError("there is no environment yet: perijove testbed up")
    source, changed = top(), 0
    wanted: dict[Path, Path] = {}
    for name, folder in project()["tool"]["setuptools"]["package-dir"].items():
        if name not in ("perijove.hub", "perijove.testbed"):
            wanted |= _files(source / folder, site / name.replace(".", "/"))
    for target, origin in wanted.items():
        changed += _copy(origin, target, 0o644)
    for path in (site / "perijove").rglob("*"):
        if path.is_file() and path not in wanted and "__pycache__" not in path.parts:
            path.unlink()
            changed += 1
    changed += _metadata(site)
    launcher = source / "spawners/launcher.py"
    if launcher.exists():
        changed += _copy(launcher, prefix / "bin/perijove-launcher", 0o755)
    for path in (state.software, prefix, prefix / "bin", site / "perijove", *(site / "perijove").rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return changed


def _files(source: Path, target: Path) -> dict[Path, Path]:
    """Where each file of a package goes; links (to other packages) are left out."""
    found = {}
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if name not in ("__pycache__", "node_modules")]
        for name in names:
            path = Path(folder, name)
            if path.suffix in _DATA and not path.is_symlink():
                found[target / path.relative_to(source)] = path
    return found


def _copy(origin: Path, target: Path, mode: int) -> bool:
    text = origin.read_bytes()
    if target.exists() and target.read_bytes() == text:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(text)
    part.chmod(mode)
    part.replace(target)
    return True


def _metadata(site: Path) -> bool:
    """What importlib.metadata reads of an installed package: version and entry points."""
    data = project()["project"]
    points = {**data.get("entry-points", {}), "console_scripts": data.get("scripts", {})}
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in each.items()) for group, each in points.items()]
    directory = site / f"perijove-{data['version']}.dist-info"
    for old in site.glob("perijove-*.dist-info"):
        if old != directory:
            shutil.rmtree(old)
    texts = {
        "METADATA": f"Metadata-Version: 2.1\nName: perijove\nVersion: {data['version']}\n",
        "entry_points.txt": "\n".join(lines),
        "INSTALLER": "perijove-testbed\n",
    }
    changed = False
    for name, text in texts.items():
        path = directory / name
        if not path.exists() or path.read_text() != text:
            write(path, text, 0o644)
            changed = True
    directory.chmod(0o755)
    return changed
