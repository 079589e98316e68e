"""The testbed is what it claims to be: isolated centres with real batch systems, and what the gateway needs."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import get_args

import perijove
import pytest
from harness.login import PIPES, ssh, submit, works
from perijove.spawners.centre import Identity, parse
from perijove.testbed import Testbed
from perijove.testbed.state import wait_for

PEOPLE = ["alice", "bob"]


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
    with subprocess.Popen(nodes["c1"].command(["/usr/bin/python3", "-c", GREET]), **PIPES) as greeter:
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
