"""Faults of the testbed come and go: each does what it says, twice is as once, and it can be mended."""

from __future__ import annotations

import socket
import subprocess

import pytest
from harness.login import PIPES, job_state, logs_in, ssh, submit, works
from perijove.testbed import Testbed
from perijove.testbed.state import TestbedError, wait_for


def test_a_node_dies_and_comes_back(own_testbed: Testbed) -> None:
    bed = own_testbed
    job = submit(bed, "alpha", "alice", "#!/bin/bash\nsleep 300\n")
    wait_for(lambda: job_state(bed, job).startswith("RUNNING"), "the job runs", 20)
    node = job_state(bed, job).split()[1]
    for _ in range(2):
        bed.fault("alpha", "node-kill", node)
    assert bed.status()["faults"] == [{"centre": "alpha", "kind": "node-kill", "target": node}]
    with pytest.raises(TestbedError, match="is down"):
        bed.exec("alpha", node, ["true"])
    wait_for(lambda: node not in job_state(bed, job), "the job leaves the dead node", 60, 0.5)
    for _ in range(2):
        bed.fault("alpha", "node-revive", node)
    bed.exec("alpha", "ctl", ["scancel", job])
    bed.mend()
    assert bed.status()["up"]


def test_the_link_of_a_node_is_cut_and_mended(own_testbed: Testbed) -> None:
    probe = "import socket\ntry: socket.create_connection(('alpha-c1', 6818), 2)\nexcept OSError as e: print(e)"
    reach = ["/usr/bin/python3", "-c", probe]
    assert own_testbed.exec("alpha", "login", reach).stdout == ""
    for _ in range(2):
        own_testbed.fault("alpha", "link-down", "c1")
    assert "timed out" in own_testbed.exec("alpha", "login", reach).stdout
    for _ in range(2):
        own_testbed.fault("alpha", "link-down", "c1", undo=True)
    assert own_testbed.exec("alpha", "login", reach).stdout == ""
    own_testbed.mend()


def test_the_login_node_refuses_and_existing_connections_stay(own_testbed: Testbed) -> None:
    with subprocess.Popen([*own_testbed.ssh("alpha", "alice"), "echo here; cat"], **PIPES) as session:
        assert session.stdout.readline() == "here\n"
        for _ in range(2):
            own_testbed.fault("alpha", "login-refuse")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", own_testbed.centre("alpha").port), 2)
        assert logs_in(own_testbed, "gamma")
        own_testbed.fault("alpha", "login-ok")
        assert logs_in(own_testbed, "alpha")
        assert session.communicate("still here\n", timeout=10)[0] == "still here\n"


def test_the_login_node_hangs_and_wakes_up(own_testbed: Testbed) -> None:
    with subprocess.Popen([*own_testbed.ssh("alpha", "alice"), "echo here; cat"], **PIPES) as session:
        assert session.stdout.readline() == "here\n"
        for _ in range(2):
            own_testbed.fault("alpha", "login-hang")
        with socket.create_connection(("127.0.0.1", own_testbed.centre("alpha").port), 2) as silent:
            silent.settimeout(0.5)
            with pytest.raises(TimeoutError):
                silent.recv(1)
        own_testbed.fault("alpha", "login-hang", undo=True)
        assert logs_in(own_testbed, "alpha")
        assert session.communicate("awake\n", timeout=10)[0] == "awake\n"


def test_connections_are_dropped(own_testbed: Testbed) -> None:
    with subprocess.Popen([*own_testbed.ssh("alpha", "alice"), "echo here; cat"], **PIPES) as session:
        assert session.stdout.readline() == "here\n"
        own_testbed.fault("alpha", "login-drop")
        assert session.wait(10) == 255
    assert logs_in(own_testbed, "alpha")
    assert own_testbed.status()["faults"] == []


@pytest.mark.parametrize("kind", ["controller-pause", "controller-kill"])
@pytest.mark.parametrize("centre", ["alpha", "gamma"])
def test_the_controller_goes_away_and_comes_back(own_testbed: Testbed, centre: str, kind: str) -> None:
    ask = {"alpha": "squeue", "gamma": "qstat"}[centre]
    assert works(lambda: ssh(own_testbed, centre, "alice", ask))
    for _ in range(2):
        own_testbed.fault(centre, kind)
    assert not works(lambda: ssh(own_testbed, centre, "alice", f"timeout 3 {ask}"))
    for _ in range(2):
        own_testbed.fault(centre, kind, undo=True)
    wait_for(lambda: works(lambda: ssh(own_testbed, centre, "alice", ask)), "the controller answers", 30)
    own_testbed.mend()


@pytest.mark.parametrize("centre", ["alpha", "gamma"])
def test_a_job_survives_a_restart_of_the_controller(own_testbed: Testbed, centre: str) -> None:
    job = submit(own_testbed, centre, "alice", "#!/bin/bash\nsleep 8; echo survived\n")
    own_testbed.fault(centre, "controller-restart")
    read = "cat out.txt 2>/dev/null || true"
    wait_for(lambda: "survived" in ssh(own_testbed, centre, "alice", read), f"job {job} ends well", 60, 0.5)


def test_a_job_is_requeued(own_testbed: Testbed) -> None:
    job = submit(own_testbed, "alpha", "alice", "#!/bin/bash\nsleep 300\n")
    wait_for(lambda: job_state(own_testbed, job).startswith("RUNNING"), "the job runs", 20)
    own_testbed.fault("alpha", "requeue", job)
    shown = ["scontrol", "show", "job", job]
    wait_for(lambda: "Restarts=1" in own_testbed.exec("alpha", "ctl", shown).stdout, "it was requeued", 20)
    own_testbed.exec("alpha", "ctl", ["scancel", job])


def test_a_home_is_full_for_its_owner_alone(own_testbed: Testbed) -> None:
    write = "echo some words > words.txt"
    for _ in range(2):
        own_testbed.fault("alpha", "home-full", "alice")
    assert not works(lambda: ssh(own_testbed, "alpha", "alice", write))
    assert works(lambda: ssh(own_testbed, "alpha", "bob", write))
    for _ in range(2):
        own_testbed.fault("alpha", "home-free", "alice")
    assert works(lambda: ssh(own_testbed, "alpha", "alice", write))


@pytest.mark.parametrize("centre", ["alpha", "gamma"])
def test_a_node_is_drained_and_put_back(own_testbed: Testbed, centre: str) -> None:
    running = own_testbed.centre(centre)

    def state() -> str:
        found: str = running.batch.node_states(running.nodes)[f"{centre}-c1"]
        return found

    wait_for(lambda: state() == "idle", "the node is idle", 60, 0.3)
    for _ in range(2):
        own_testbed.fault(centre, "drain", "c1")
    wait_for(lambda: state().startswith("drain"), "the node is drained", 10, 0.2)
    for _ in range(2):
        own_testbed.fault(centre, "resume", "c1")
    wait_for(lambda: state() == "idle", "the node is back", 10, 0.2)


def test_a_drained_node_is_put_back_although_the_controller_was_away_too(own_testbed: Testbed) -> None:
    own_testbed.fault("alpha", "drain", "c1")
    own_testbed.fault("alpha", "controller-pause")
    own_testbed.mend()
    alpha = own_testbed.centre("alpha")
    assert "drain" not in alpha.batch.node_states(alpha.nodes)["alpha-c1"]


def test_a_fault_for_some_seconds_is_mended_by_itself(own_testbed: Testbed) -> None:
    own_testbed.fault("alpha", "login-refuse", seconds=0.2)
    assert own_testbed.status()["up"]
    assert logs_in(own_testbed, "alpha")


@pytest.mark.parametrize(
    ("kind", "target", "words"),
    [("earthquake", "", "no fault"), ("node-kill", "", "needs a node"), ("node-kill", "c9", "no node 'c9'")],
)
def test_a_wrong_fault_says_what_there_is(own_testbed: Testbed, kind: str, target: str, words: str) -> None:
    with pytest.raises(TestbedError, match=words):
        own_testbed.fault("alpha", kind, target)
    assert own_testbed.status()["faults"] == []
