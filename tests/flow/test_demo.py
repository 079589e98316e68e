"""`perijove demo` as a person runs it: one URL, how to sign in, and nothing left after Ctrl-C."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
DEMO = [sys.executable, "-m", "perijove.hub.cli", "demo"]


def processes_of(state: Path) -> list[str]:
    """Command lines of the processes that have anything to do with this state directory."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join([*process.cmdline(), process.cwd(), *process.environ().values()])
            line = " ".join(process.cmdline())
        except (psutil.Error, OSError):
            continue
        if str(state) in words and process.pid != psutil.Process().pid:
            found.append(line)
    return found


async def test_the_demo_says_where_and_how_and_leaves_nothing_behind(tmp_path: Path) -> None:
    state = tmp_path / "demo state"  # a blank in the path is a trap for shells
    process = await asyncio.create_subprocess_exec(
        *DEMO, "--state-dir", str(state), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    text = ""
    try:
        async with asyncio.timeout(150):
            while "Ctrl-C" not in text:
                line = await process.stdout.readline()
                assert line, text
                text += line.decode()
        address = re.search(r"http://127\.0\.0\.1:\d+/", text)
        assert address, text
        for name in ("alice", "bob", "teacher", "operator"):
            assert re.search(rf"^\s+{name}\s+\S{{14,}}$", text, re.MULTILINE), text
        async with httpx.AsyncClient(trust_env=False, follow_redirects=True, timeout=30) as browser:
            page = await browser.get(address[0])
            assert page.status_code == 200
            assert "password" in page.text
        second = await asyncio.create_subprocess_exec(
            *DEMO, "--state-dir", str(state), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        refused = (await second.communicate())[0].decode()
        assert second.returncode == 1
        assert "is running" in refused
        process.send_signal(signal.SIGINT)
        rest = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
        assert process.returncode == 0, rest
        assert "Everything is stopped" in rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert processes_of(state) == []
