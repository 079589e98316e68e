"""The testbed is what it claims to be: isolated centres with real batch systems, and faults that come and go."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import perijove
import pytest
from perijove.spawners.centre import Identity, parse
from perijove.testbed import Testbed
from perijove.testbed.network import machine_interfaces
from perijove.testbed.state import TestbedError, wait_for

PEOPLE = ["alice", "bob"]
_PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}


def ssh(bed: Testbed, centre: str, person: str, *argv: str, stdin: str = "", timeout: float = 20) -> str:
    """What a command says at the login node. Raises CalledProcessError or TimeoutExpired."""
    command = [*bed.ssh(centre, person), *argv]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=True).stdout


def works(action: Callable[[], object]) -> bool:
    try:
        action()
    except (subprocess.SubprocessError, TestbedError):
        return False
    return True


def logs_in(bed: Testbed, centre: str) -> bool:
    return works(lambda: ssh(bed, centre, "alice", "true", timeout=3))


def submit(bed: Testbed, centre: str, person: str, script: str) -> str:
    """Submit a job in the words of the centre's people; its id."""
    if centre == "gamma":
        words = ["qsub", "-terse", "-cwd", "-j", "y", "-o", "out.txt", "-l", "memory=100M,h_rt=60"]
        return ssh(bed, centre, person, *words, stdin=script).strip()
    program = {"alpha": "sbatch", "beta": "yhbatch"}[centre]
    words = [program, "--parsable", "--mem=100", "--time=1", "--output=out.txt"]
    return ssh(bed, centre, person, *words, stdin=script).strip()


def job_state(bed: Testbed, job: str) -> str:
    """The state and place of a job at alpha, e.g. "RUNNING alpha-c1"."""
    return bed.exec("alpha", "ctl", ["squeue", "-h", "-j", job, "-o", "%T %B"]).stdout.strip()


# -- people submit jobs ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("centre", ["alpha", "beta", "gamma"])
def test_a_person_submits_a_job_that_runs_on_a_compute_node_as_that_person(
    testbed: Testbed, centre: str, person: str
) -> None:
    account = testbed.centre(centre).plan.account(person)
    assert ssh(testbed, centre, person, "rm", "-f", "out.txt") == ""
    job = submit(testbed, centre, person, "#!/bin/bash\nid -u; hostname; echo done\n")
    assert job.isdecimal()

    def output() -> list[str]:
        return ssh(testbed, centre, person, "cat out.txt 2>/dev/null || true").split()

    wait_for(lambda: "done" in output(), f"job {job} of {person} at {centre} ends", 60, 0.3)
    uid, host, _ = output()
    assert int(uid) == account.uid
    assert host in (f"{centre}-c1", f"{centre}-c2")


def test_how_a_job_ended_can_be_asked_for(testbed: Testbed) -> None:
    job = submit(testbed, "alpha", "alice", "#!/bin/bash\nexit 3\n")
    told = ["squeue", "-h", "-t", "all", "-j", job, "-o", "%T"]
    wait_for(lambda: "FAILED" in ssh(testbed, "alpha", "alice", *told), f"squeue tells of {job}", 30, 0.3)
    told = ["sacct", "-c", "-n", "-P", "-j", job, "-o", "state"]
    assert testbed.exec("alpha", "login", told).stdout == "FAILED\n"
    job = submit(testbed, "gamma", "alice", "#!/bin/bash\nexit 3\n")
    told = ["qacct", "-j", job]
    wait_for(lambda: works(lambda: ssh(testbed, "gamma", "alice", *told)), f"qacct tells of {job}", 30, 0.3)
    assert ["exit_status", "3"] in [line.split()[:2] for line in ssh(testbed, "gamma", "alice", *told).splitlines()]


def test_beta_is_a_strict_site_with_commands_of_its_own(testbed: Testbed) -> None:
    assert not works(lambda: ssh(testbed, "beta", "alice", "which", "sbatch"))
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        ssh(testbed, "beta", "alice", "yhbatch", "--time=99-0", "--wrap=true")
    assert "time limit" in refusal.value.stderr
    job = submit(testbed, "beta", "alice", "#!/bin/bash\nsleep 20\n")
    try:
        assert job in ssh(testbed, "beta", "alice", "yhqueue")
        assert job not in ssh(testbed, "beta", "bob", "yhqueue")
    finally:
        ssh(testbed, "beta", "alice", "yhcancel", job)


def test_alpha_has_make_believe_gpus(testbed: Testbed) -> None:
    script = "--wrap=echo devices $CUDA_VISIBLE_DEVICES"
    assert ssh(testbed, "alpha", "bob", "rm", "-f", "gpu.txt") == ""
    words = ["sbatch", "--parsable", "-p", "gpu", "--gres=gpu:2", "--time=1", "--mem=100", "-o", "gpu.txt"]
    ssh(testbed, "alpha", "bob", *words, f"'{script}'")
    read = "cat gpu.txt 2>/dev/null || true"
    wait_for(lambda: "devices 0,1" in ssh(testbed, "alpha", "bob", read), "the job has two GPUs", 30, 0.3)


# -- isolation -----------------------------------------------------------------------------------------------------
GREET = """import socket
server = socket.create_server(('', 0))
print(server.getsockname()[1], flush=True)
for _ in range(2):
    server.accept()[0].sendall(b'greetings from the node')
"""
VISIT = """import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2) as visit:
    visit.settimeout(2)
    print(visit.recv(100).decode())
"""


@pytest.mark.parametrize("centre", ["alpha", "beta", "gamma"])
def test_a_compute_node_is_reached_from_the_login_node_and_from_nowhere_else(testbed: Testbed, centre: str) -> None:
    """What counts is the node's greeting: a machine's own network may answer for any address at all."""
    nodes = testbed.centre(centre).nodes
    with subprocess.Popen(nodes["c1"].command(["/usr/bin/python3", "-c", GREET]), **_PIPES) as greeter:
        port = greeter.stdout.readline().strip()
        visit = ["/usr/bin/python3", "-c", VISIT, testbed.centre(centre).plan.address("c1"), port]
        try:
            here = subprocess.run(visit, capture_output=True, text=True, timeout=10, check=False)
            assert "greetings" not in here.stdout
            for other in {"alpha", "beta", "gamma"} - {centre}:
                assert testbed.exec(other, "login", visit).returncode != 0
        finally:
            for _ in range(2):
                inside = nodes["login"].exec(visit, testbed.account(centre, "alice"))
        assert inside.stdout == "greetings from the node\n"


def test_a_centre_shares_no_file_of_people_with_the_gateway_or_another_centre(testbed: Testbed) -> None:
    for centre in testbed.centres:
        ssh(testbed, centre, "alice", "touch", f"mark-{centre}")
        for node in ("c1", "c2"):
            home = f"/home/{testbed.account(centre, 'alice')}"
            listing = testbed.exec(centre, node, ["ls", home]).stdout
            assert [name for name in listing.split() if name.startswith("mark-")] == [f"mark-{centre}"]
        assert testbed.exec(centre, "login", ["ls", "-A", "/tmp", "/root", "/work", "/srv"]).stdout.count("mark") == 0
        assert not works(lambda centre=centre: ssh(testbed, centre, "alice", "ls", str(testbed.state.keys)))
        assert not works(lambda centre=centre: ssh(testbed, centre, "alice", "cat", "/etc/shadow"))
        bobs = f"/home/{testbed.account(centre, 'bob')}"
        assert not works(lambda centre=centre, bobs=bobs: ssh(testbed, centre, "alice", "ls", bobs))


# -- what the gateway needs ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("identity", get_args(Identity))
def test_descriptions_are_valid_for_every_identity(testbed: Testbed, identity: Identity) -> None:
    for name, running in testbed.centres.items():
        read = parse(tomllib.loads(testbed.centre_file(name, identity).read_text()))
        assert (read.id, read.login.identity, read.login.port) == (name, identity, running.port)
        assert Path(read.login.key_file).stat().st_mode & 0o777 == 0o600
        usual = parse(tomllib.loads(testbed.centre_file(name).read_text()))
        assert usual.login.identity == running.plan.identity


def test_the_inventory_names_every_account_and_its_key(testbed: Testbed) -> None:
    inventory = json.loads(testbed.state.inventory.read_text())
    for name, centre in inventory["centres"].items():
        assert set(centre["accounts"]) == {"alice", "bob", "perijove", "community"}
        for person, account in centre["accounts"].items():
            assert ssh(testbed, name, person, "id", "-u").strip() == str(account["uid"])


def test_a_key_that_a_person_registers_opens_their_account(testbed: Testbed, tmp_path: Path) -> None:
    named = tomllib.loads(testbed.state.identities.read_text())
    assert named["beta"] == {"alice": "awang", "bob": "bli"}
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    usual = testbed.ssh("beta", "bob")
    command = [str(key) if word == str(testbed.key_file("beta", "bob")) else word for word in usual]
    assert subprocess.run([*command, "id", "-un"], capture_output=True, timeout=10, check=False).returncode == 255
    testbed.install_key("beta", "bob", key.with_suffix(".pub").read_text())
    done = subprocess.run([*command, "id", "-un"], capture_output=True, text=True, timeout=10, check=False)
    assert done.stdout == "bli\n"


def test_the_environment_of_a_centre_runs_the_agent_and_jupyterlab_for_people(testbed: Testbed) -> None:
    code = "import perijove.spawners.agent, jupyterlab, jupyterhub; print(perijove.spawners.agent.__file__)"
    for name in testbed.centres:
        done = testbed.exec(name, "c2", ["/opt/perijove/env/bin/python", "-c", code], "alice")
        assert done.stdout.startswith("/opt/perijove/env/lib/"), done.stderr
    testbed.sync()
    here = Path(perijove.__file__).read_text()
    assert (
        testbed.exec("alpha", "c2", ["cat", done.stdout.replace("spawners/agent.py", "__init__.py").strip()]).stdout
        == here
    )


def test_the_service_account_may_run_the_launcher_as_a_person_and_nothing_else(testbed: Testbed) -> None:
    launcher = "/opt/perijove/bin/perijove-launcher"
    request = {"verb": "check", "base": "~/.perijove", "programs": ["qsub"], "timeout": 10}
    request["python"] = "/opt/perijove/env/bin/python"
    account = testbed.account("gamma", "alice")
    sudo = ["sudo", "-n", "-u", account]
    answer = json.loads(ssh(testbed, "gamma", "perijove", *sudo, launcher, stdin=json.dumps(request)))
    assert answer["ok"], answer
    for refused in (
        [*sudo, "id"],
        [*sudo, launcher, "--x"],
        ["sudo", "-n", launcher],
        ["sudo", "-n", "-u", "community", launcher],
    ):
        assert not works(lambda refused=refused: ssh(testbed, "gamma", "perijove", *refused))
    assert not works(lambda: ssh(testbed, "gamma", "bob", *sudo, launcher))


# -- faults --------------------------------------------------------------------------------------------------------
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
    with subprocess.Popen([*own_testbed.ssh("alpha", "alice"), "echo here; cat"], **_PIPES) as session:
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
    with subprocess.Popen([*own_testbed.ssh("alpha", "alice"), "echo here; cat"], **_PIPES) as session:
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
    with subprocess.Popen([*own_testbed.ssh("alpha", "alice"), "echo here; cat"], **_PIPES) as session:
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


# -- the end ---------------------------------------------------------------------------------------------------------
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
    own = own_copy(tmp_path)
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
    own = own_copy(tmp_path)
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


def own_copy(directory: Path) -> Path:
    """A state directory that shares the built environment with the usual one."""
    (directory / "software").symlink_to(Testbed().state.software)
    return directory
