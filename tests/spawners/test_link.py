"""Links: the launcher at a login node, and connections to agents through it, over real SSH."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from doubles.jobs import eventually
from doubles.login import LoginNode, centre, new_key, public
from perijove.spawners import link_kept, link_master, link_ssh
from perijove.spawners.link import (
    Account,
    Link,
    LinkError,
    LinkProblem,
    Links,
    NoAgent,
    WrongKey,
    launcher_argv,
    link_for,
    printable,
    shell_words,
)
from perijove.spawners.link_local import LocalLink
from perijove.spawners.link_ssh import SSHLink


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LoginNode]:
    async with LoginNode(tmp_path) as node:
        yield node


@pytest.fixture(params=["ssh", "asyncssh"])
def streams(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What streams go through: OpenSSH, or asyncssh where there is none."""
    if request.param == "asyncssh":
        monkeypatch.setattr(link_master, "available", lambda: False)
    elif not link_master.available():
        pytest.skip("there is no ssh")


@pytest.fixture
async def link(node: LoginNode) -> AsyncIterator[SSHLink]:
    link = link_for(node.centre(), Account())
    assert isinstance(link, SSHLink)
    yield link
    await link.close()


def status(base: Path, *argv: str, seconds: float = 10) -> dict[str, Any]:
    """A request that runs one command; `allow` is honoured where the launcher is not installed."""
    commands = [{"argv": list(argv), "stdin": ""}]
    return {"verb": "status", "base": str(base), "timeout": seconds, "commands": commands, "allow": [argv[0]]}


async def problem_of(link: Link, request: dict[str, Any], *, timeout: float = 10) -> LinkError:  # noqa: ASYNC109
    """The error that a request ends with."""
    with pytest.raises(LinkError) as caught:
        await link.launch(request, timeout=timeout)
    return caught.value


async def test_the_launcher_answers_over_ssh(link: SSHLink, tmp_path: Path) -> None:
    answer = await link.launch(status(tmp_path, "echo", "你好; $(id)"))
    assert answer["outputs"][0]["stdout"] == "你好; $(id)\n"


async def test_the_launcher_answers_on_this_machine(tmp_path: Path) -> None:
    link = link_for(centre(), Account())
    assert isinstance(link, LocalLink)
    assert (await link.launch(status(tmp_path, "echo", "hello")))["outputs"][0]["stdout"] == "hello\n"
    assert (await problem_of(link, status(tmp_path, "sleep", "9"), timeout=0.5)).problem is LinkProblem.TIMEOUT


async def test_what_a_login_shell_prints_is_skipped(node: LoginNode, link: SSHLink, tmp_path: Path) -> None:
    argv = launcher_argv(link.centre, link.account)
    node.command = "echo Welcome to the machine; echo '{\"ok\": true}'; " + shell_words(argv)
    answer = await link.launch(status(tmp_path, "echo", "hello"))
    assert answer["outputs"][0]["stdout"] == "hello\n"


async def test_one_connection_serves_many_requests_but_never_too_many_at_once(node: LoginNode, tmp_path: Path) -> None:
    link = link_for(node.centre(sessions=3), Account())
    await asyncio.gather(*(link.launch(status(tmp_path, "sleep", "0.1")) for _ in range(10)))
    assert len(node.connections) == 1
    assert node.most_at_once == 3
    await link.close()


async def test_a_broken_connection_is_replaced(node: LoginNode, link: SSHLink, tmp_path: Path) -> None:
    await link.launch(status(tmp_path, "true"))
    node.drop()
    assert (await link.launch(status(tmp_path, "true")))["ok"]  # the loss is seen at the first use


async def test_a_connection_that_breaks_under_a_command_is_an_error_not_a_repetition(
    node: LoginNode, link: SSHLink, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    asking = asyncio.create_task(problem_of(link, status(tmp_path, "sh", "-c", f"echo x >> {ran}; sleep 30")))
    await eventually(lambda: asyncio.sleep(0, ran.exists()))
    node.drop()
    assert (await asking).problem is LinkProblem.UNREACHABLE
    assert ran.read_text() == "x\n"


async def test_callers_fail_at_once_while_a_login_node_is_away(
    node: LoginNode, link: SSHLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_kept, "BACKOFF", (0.3, 0.3))
    await node.stop()
    assert (await problem_of(link, status(tmp_path, "true"))).problem is LinkProblem.UNREACHABLE
    await node.start()
    assert (await problem_of(link, status(tmp_path, "true"))).problem is LinkProblem.UNREACHABLE
    assert not node.connections
    deadline = time.monotonic() + 5
    while True:
        try:
            assert (await link.launch(status(tmp_path, "true")))["ok"]
            return
        except LinkError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_another_host_key_is_refused(node: LoginNode, tmp_path: Path) -> None:
    link = link_for(node.centre(host_keys=[public(new_key())]), Account())
    assert (await problem_of(link, status(tmp_path, "true"))).problem is LinkProblem.HOST_KEY
    await link.close()


async def test_a_key_that_the_centre_does_not_know_is_a_login_problem(node: LoginNode, tmp_path: Path) -> None:
    new_key().write_private_key(str(tmp_path / "other"))
    link = link_for(node.centre(), Account(key_file=str(tmp_path / "other")))
    assert (await problem_of(link, status(tmp_path, "true"))).problem is LinkProblem.LOGIN
    link = link_for(node.centre(), Account(key_file=str(tmp_path / "missing")))
    assert (await problem_of(link, status(tmp_path, "true"))).problem is LinkProblem.LOGIN


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("yes", LinkProblem.OUTPUT),
        ("head -c 100000000 /dev/zero", LinkProblem.OUTPUT),
        ("yes >&2", LinkProblem.OUTPUT),
        ("echo '{\"ok\": tr'", LinkProblem.OUTPUT),
        ("echo '[1, 2]'", LinkProblem.OUTPUT),
        ('echo \'{"ok": true, "outputs": 7}\'', LinkProblem.OUTPUT),
        ("printf '[%.0s' $(seq 100000)", LinkProblem.OUTPUT),
        ("true", LinkProblem.OUTPUT),
        ("echo no python >&2; exit 127", LinkProblem.LAUNCHER),
        ('echo \'{"ok": false, "problem": "home-full", "detail": "no space"}\'', LinkProblem.LAUNCHER),
        ("sleep 60", LinkProblem.TIMEOUT),
    ],
)
async def test_a_hostile_login_node_gets_a_problem_of_its_own(
    node: LoginNode, link: SSHLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, problem: LinkProblem
) -> None:
    monkeypatch.setattr(link_ssh, "ANSWER_LIMIT", 1 << 20)
    node.command = command
    error = await problem_of(link, status(tmp_path, "true"), timeout=2 if problem is LinkProblem.TIMEOUT else 20)
    assert error.problem is problem
    assert len(error.detail) <= 2000
    assert error.code == ("home-full" if "home-full" in command else "")
    node.command = ""
    assert (await link.launch(status(tmp_path, "true")))["ok"]


async def test_a_command_without_answer_leaves_the_streams_alone(
    node: LoginNode, link: SSHLink, tmp_path: Path
) -> None:
    await link.launch(status(tmp_path, "true"))
    first = link._commands.now
    node.command = "sleep 60"
    assert (await problem_of(link, status(tmp_path, "true"), timeout=0.5)).problem is LinkProblem.TIMEOUT
    node.command = ""
    assert (await link.launch(status(tmp_path, "true")))["ok"]
    assert first is not None
    assert link._commands.now is not first
    assert not first.is_closed()
    await link.close()
    assert first.is_closed()


@pytest.mark.usefixtures("streams")
async def test_forwarding_that_is_not_allowed_is_said_with_advice(node: LoginNode, link: SSHLink) -> None:
    node.forwarding = False
    with pytest.raises(LinkError, match="AllowTcpForwarding yes") as caught:
        await link.connect("node1", 9, host_key=public(new_key()), client_key=new_key())
    assert caught.value.problem is LinkProblem.REFUSED


@pytest.mark.usefixtures("streams")
async def test_only_an_agent_with_the_right_key_is_accepted(node: LoginNode, link: SSHLink) -> None:
    client = new_key()
    with pytest.raises(WrongKey):  # an SSH server, but not the one
        await link.connect("node1", node.port, host_key=public(new_key()), client_key=client)
    silent = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(WrongKey):
        await link.connect("node1", port, host_key=public(new_key()), client_key=client)
    silent.close()
    await silent.wait_closed()
    with pytest.raises(NoAgent):
        await link.connect("node1", port, host_key=public(new_key()), client_key=client)


@pytest.mark.usefixtures("streams")
async def test_streams_accept_known_host_keys_and_name_what_is_wrong(node: LoginNode, tmp_path: Path) -> None:
    new_key().write_private_key(str(tmp_path / "other"))
    (tmp_path / "other").chmod(0o600)
    for behind, account, problem in (
        (node.centre(host_keys=[public(new_key())]), Account(), LinkProblem.HOST_KEY),
        (node.centre(), Account(key_file=str(tmp_path / "other")), LinkProblem.LOGIN),
        (node.centre(), Account(key_file=str(tmp_path / "missing")), LinkProblem.LOGIN),
        (node.centre(port=9), Account(), LinkProblem.UNREACHABLE),
    ):
        link = link_for(behind, account)
        with pytest.raises(LinkError) as caught:
            await link.connect("node1", 9, host_key=public(new_key()), client_key=new_key())
        assert caught.value.problem is problem
        await link.close()


async def test_the_stream_process_ends_with_the_link_and_leaves_nothing(node: LoginNode, link: SSHLink) -> None:
    with pytest.raises(NoAgent):
        await link.connect("node1", 9, host_key=public(new_key()), client_key=new_key())
    master = link._streams.now
    assert master is not None
    assert master.alive
    await link.close()
    assert not master.alive
    assert not master._directory.exists()


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a b", "a;b", "$(id)", "a\n", "ä", "a" * 65, "../x", "{account}"])
def test_a_name_that_is_no_account_never_reaches_a_command(name: str) -> None:
    with pytest.raises(ValueError, match="not an account name"):
        Account(run_as=name)


def test_the_launcher_runs_as_the_person_with_sudo_and_as_nothing_else(tmp_path: Path) -> None:
    login = {
        "host": "h",
        "host_keys": [public(new_key())],
        "identity": "sudo",
        "account": "gateway",
        "launcher": "/opt/p/launcher",
    }
    behind = centre(scheduler={"system": "slurm"}, login=login)
    argv = launcher_argv(behind, Account(run_as="alice"))
    assert argv == ["sudo", "-n", "-u", "alice", "--", "/opt/p/launcher"]
    assert shlex.split(shell_words(argv))[1:] == argv
    with pytest.raises(LinkError):
        launcher_argv(behind, Account())


async def test_links_are_shared_by_account_and_renewed_when_the_login_changes(node: LoginNode) -> None:
    links = Links()
    one = links.get(node.centre())
    assert links.get(node.centre()) is one
    assert links.get(node.centre(), Account("other")) is not one
    assert links.get(node.centre(port=node.port + 1)) is not one
    await links.close()


def test_foreign_text_is_cut_and_has_no_control_characters() -> None:
    assert printable("a\x1b[31m\u202eb\r\nc" + "x" * 9000, 12) == "a?[31m?b?\ncx"


async def test_nothing_of_the_gateway_users_own_ssh_is_used(
    node: LoginNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    (home / "config").write_text("Host *\n  Port 1\n  User nobody\n  ProxyCommand false\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
    link = link_for(node.centre(), Account())
    assert (await link.launch(status(tmp_path, "true")))["ok"]
    assert isinstance(link, SSHLink)
    assert link._commands.now is not None
    assert link._commands.now.get_extra_info("send_cipher") == "aes128-gcm@openssh.com"
    await link.close()
