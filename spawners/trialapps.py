"""The part of a trial that asks which apps can run: on the compute node, in the environment that sessions have.

The trial's server answers `/apps` with the output of `python -m perijove.spawners.apps.probe`, run by the Python of the
centre's jobs below the job's own prolog. It knows the apps that come with Perijove and with packages of that
environment. That an app cannot run there fails nothing: it is said, with how to get what is missing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from perijove.spawners.trialwords import MEND_APPS, Step
from perijove.spawners.visible import visible

#: Seconds for all programs to say their versions; bytes of the answer.
LONGEST, MOST = 90, 1 << 20
#: A server of a few lines on the session's unix socket: the way is tried, not JupyterLab.
SERVER = (
    "import socketserver, subprocess, sys, http.server as h\n"
    "class H(h.BaseHTTPRequestHandler):\n"
    "    def address_string(self): return ''\n"
    "    def log_message(self, *a): pass\n"
    "    def do_GET(self):\n"
    "        if self.path != '/apps':\n"
    "            self.send_response(204); self.end_headers(); return\n"
    "        argv = [sys.executable, '-m', 'perijove.spawners.apps.probe']\n"
    f"        try: p = subprocess.run(argv, stdout=-1, stderr=-2, stdin=-3, timeout={LONGEST - 5})\n"
    "        except Exception as e: good, said = False, repr(e).encode()\n"
    "        else: good, said = p.returncode == 0, p.stdout\n"
    "        self.send_response(200 if good else 500); self.end_headers(); self.wfile.write(said)\n"
    "socketserver.UnixStreamServer(sys.argv[1], H).serve_forever()\n"
)


async def look(port: int) -> tuple[Step, dict[str, Any]]:
    """The step, and what was found by app (see `probe.Found`). `port` is the local end of the trial's tunnel."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(LONGEST):
            good, body = await _get(port)
        found = json.loads(body) if good else None
        said = "" if good else visible(body.decode("utf-8", "replace").strip()[-300:], 400)
    except (TimeoutError, OSError, ValueError) as error:
        found, said = None, visible(f"{type(error).__name__} {error}".strip(), 200)
    seconds = time.monotonic() - begun
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        return Step("apps", "advice", seconds, f"which can run there was not found out: {said}", MEND_APPS), {}
    lines, mends = [], []
    for name, one in found.items():
        lines.append(f"{visible(name, 40)} {_ready(one)}")
        mends += [f"{visible(name, 40)}: {words}" for words in _ways(one)]
    state = "advice" if mends else "ok"
    return Step("apps", state, seconds, visible("; ".join(lines), 600) or "there are none", "; ".join(mends)), found


def _ready(found: Mapping[str, Any]) -> str:
    if found.get("way"):
        return f"ready ({visible(found['way'], 40)})"
    return f"lacks {', '.join(visible(one['code'], 40) for one in _missing(found)) or 'something'}"


def _ways(found: Mapping[str, Any]) -> list[str]:
    """How to get each code that an app lacks; nothing where it runs without."""
    if found.get("way"):
        return []
    words = {"module": "module load {}", "apt": "apt-get install {}", "pypi": "pip install {}", "container": "{}"}
    return [
        " / ".join(words[key].format(visible(value, 100)) for key, value in one["how"].items() if key in words)
        for one in _missing(found)
    ]


def _missing(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    missing = found.get("missing")
    whole = [one for one in missing if isinstance(one, dict)] if isinstance(missing, list) else []
    return [one for one in whole if isinstance(one.get("how"), dict) and "code" in one]


async def _get(port: int) -> tuple[bool, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /apps HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        await writer.drain()
        answer = bytearray()
        while len(answer) < MOST and (block := await reader.read(1 << 16)):
            answer += block
    finally:
        writer.close()
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return b" 200 " in head.partition(b"\r\n")[0], body
