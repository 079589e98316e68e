"""The testbed goes as it came: nothing is left behind, not even after a start that was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.centres import own_directory
from harness.login import logs_in
from perijove.testbed import Testbed
from perijove.testbed.network import machine_interfaces
from perijove.testbed.state import wait_for


def traces(directory: Path) -> list[str]:
    """Processes that have something of this testbed mounted or on their command line, and the machine's own mounts."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal():
                text = (process / "mountinfo").read_text() + (process / "cmdline").read_text()
                found += [f"{process.name}: {process.joinpath('comm').read_text()}"] * (str(directory) in text)
        except OSError:
            continue
    return found


def test_down_leaves_nothing_behind(testbed: Testbed, tmp_path: Path) -> None:
    own = own_directory(tmp_path)
    before = machine_interfaces()
    bed = Testbed(own, only=("alpha", "gamma"))
    bed.up()
    assert len(traces(own)) > 10
    bed.down()
    assert traces(own) == []
    assert machine_interfaces() == before
    assert not list((own / "work").iterdir())
    bed.down()


@pytest.mark.parametrize("after", ["alpha-ctl.init", "alpha-acceptor"])
def test_what_a_killed_start_left_is_found_and_ended(testbed: Testbed, tmp_path: Path, after: str) -> None:
    own = own_directory(tmp_path)
    code = "import sys, pathlib, perijove.testbed as t; t.Testbed(pathlib.Path(sys.argv[1]), ('alpha',)).up()"
    with subprocess.Popen([sys.executable, "-c", code, str(own)]) as starting:
        record = own / "run" / f"{after}.stat"
        wait_for(record.exists, f"{after} is recorded", 60, 0.005)
        starting.send_signal(signal.SIGKILL)
    assert traces(own)
    bed = Testbed(own, only=("alpha",))
    if after == "alpha-acceptor":
        bed.up()
        assert logs_in(bed, "alpha")
    bed.down()
    assert traces(own) == []
