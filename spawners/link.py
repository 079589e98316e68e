"""A link: how the gateway reaches one account at one centre.

It does two things only: it runs the launcher at the login node, and it opens SSH connections to agents on
compute nodes, through the login node. `SSHLink` does so over one SSH connection per account, `LocalLink` on this
machine for the embedded `local` centres. Everything above (watcher, tunnel, broker) sees a `Link` and can be tested
with a double.
"""

# A caller says how long it waits.
# ruff: noqa: ASYNC109
from __future__ import annotations

import asyncio
import json
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perijove.spawners.centre import Centre

if TYPE_CHECKING:
    import asyncssh

#: The user name of every agent's SSH server: no name of a person is ever sent to a node.
AGENT_USER = "perijove"
#: The longest answer of a launcher that is read, in bytes.
ANSWER_LIMIT = 48 << 20
#: Fast ciphers first; chacha20, OpenSSH's default, costs half the throughput.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")


class LinkProblem(StrEnum):
    """What is wrong between the gateway and a login node."""

    UNREACHABLE = "unreachable"  # no connection, or it broke
    REFUSED = "refused"  # the login node does not let us do this
    HOST_KEY = "host-key"  # it is not the machine that the centre's description names
    LOGIN = "login"  # it does not accept our key for this account
    TIMEOUT = "timeout"  # no answer in time
    LAUNCHER = "launcher"  # the launcher could not be run, or it reported a problem
    OUTPUT = "output"  # an answer that is too long, or none that we can read


class LinkError(Exception):
    """The link cannot do what was asked. `detail` is for operators, bounded to 2,000 characters.

    `code` is the launcher's own code where it reported the problem ("home-full", "home-missing", ...), else "".
    """

    def __init__(self, problem: LinkProblem, detail: str, code: str = "") -> None:
        self.problem = problem
        self.detail = printable(detail)
        self.code = code
        super().__init__(f"{problem}: {self.detail}")


class NoAgent(Exception):
    """Nothing listens on that port of that node."""


class WrongKey(Exception):
    """Something listens there, but it is not the agent of this session."""


def printable(text: str, limit: int = 2000) -> str:
    """`text` from a foreign machine, cut and without control characters, fit for a log."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text.strip()[:limit])


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account is used at a centre. Empty fields: the centre's description says it."""

    name: str = ""
    key_file: str = ""
    #: With identity `sudo`: the person's account, as whom the launcher is to run.
    run_as: str = ""

    def __post_init__(self) -> None:
        for name in (self.name, self.run_as):
            if name and not _NAME.match(name):
                raise ValueError(f"not an account name: {name!r}")


class Link(ABC):
    """One login at one centre."""

    def __init__(self, centre: Centre, account: Account) -> None:
        self.centre = centre
        self.account = account

    @abstractmethod
    async def launch(self, request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:
        """The launcher's answer to `request`, of which `ok` is true. `timeout` in seconds, for all of it.

        A piece of a file goes along as it is, as `body` (bytes) of the request or of the answer.

        Raises:
            LinkError: there is no such answer.
        """

    @abstractmethod
    async def connect(
        self, node: str, port: int, *, host_key: str, client_key: asyncssh.SSHKey
    ) -> asyncssh.SSHClientConnection:
        """A connection to the agent on `port` of `node` that has exactly the public `host_key`.

        Raises:
            NoAgent: nothing listens there, now.
            WrongKey: another program does.
            LinkError: the login node cannot be reached or refuses to forward.
        """

    @abstractmethod
    async def close(self) -> None:
        """End everything that goes over this link."""


def link_for(centre: Centre, account: Account) -> Link:
    """The link to `centre` as `account`; connects when it is first used."""
    if centre.scheduler.system == "local":
        from perijove.spawners.link_local import LocalLink

        return LocalLink(centre, account)
    from perijove.spawners.link_ssh import SSHLink

    return SSHLink(centre, account)


class Links:
    """All links of a gateway, one per centre and account."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, Account], Link] = {}

    def get(self, centre: Centre, account: Account = Account()) -> Link:
        """The link to `centre` as `account`. A centre whose login changed gets a new one."""
        link = self._links.get((centre.id, account))
        if link is None or link.centre.login != centre.login:
            link = self._links[centre.id, account] = link_for(centre, account)
        elif link.centre is not centre:
            link.centre = centre
        return link

    async def close(self) -> None:
        """Close all links."""
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in links))


@cache
def launcher_source() -> bytes:
    """The launcher's file, which is sent ahead of a request where it is not installed."""
    return Path(__file__).with_name("launcher.py").read_bytes()


BOOTSTRAP = (
    "import sys;exec(compile(sys.stdin.buffer.read({size}),'launcher','exec'),{{'__name__':'__main__','IN_BAND':1}})"
)


def launcher_argv(centre: Centre, account: Account) -> list[str]:
    """How the launcher is started at a login node. Nothing in it comes from a request: it is a word list of the
    centre's operator, a validated account name, and a fixed program.

    Raises:
        LinkError: identity `sudo` without a person.
    """
    login = centre.login
    name = account.name or login.account
    if login.launcher is not None:
        launcher = login.launcher.replace("{account}", name)
        if login.identity != "sudo":
            return [launcher]
        if not account.run_as:
            raise LinkError(LinkProblem.LOGIN, "nobody to run the launcher as: the person has no account here")
        return ["sudo", "-n", "-u", account.run_as, "--", launcher]
    python = login.python.replace("{account}", name)
    return [python, "-I", "-S", "-c", BOOTSTRAP.format(size=len(launcher_source()))]


def shell_words(argv: list[str]) -> str:
    """`argv` for the account's login shell, which sshd puts in between; a leading `~/` stays the shell's."""
    first = argv[0] if argv[0].startswith("~/") else shlex.quote(argv[0])
    return " ".join(["exec", first, *map(shlex.quote, argv[1:])])


def encode(centre: Centre, request: Mapping[str, Any]) -> bytes:
    """What the launcher reads: its own source where it is not installed, the request, and its `body`, if any."""
    request = dict(request)
    body = request.pop("body", None)
    after = b"" if body is None else b"\n" + bytes(body)
    if centre.login.launcher is not None:
        return json.dumps(request).encode() + after
    allow = sorted(centre.scheduler.commands.values())
    if request.get("python"):
        allow.append(request["python"])
    return launcher_source() + json.dumps({**request, "allow": [*allow, *request.get("allow", ())]}).encode() + after


def decode(status: int | None, stdout: bytes, stderr: bytes) -> dict[str, Any]:
    """The launcher's answer: the last line, and the piece of a file before it; what a login shell prints is skipped.

    Raises:
        LinkError: LAUNCHER if it did not run or reports a problem, OUTPUT if this is no answer.
    """
    words = stderr.decode("utf-8", "replace") or stdout[-2000:].decode("utf-8", "replace")
    if status:
        raise LinkError(LinkProblem.LAUNCHER, f"exit status {status}: {words}")
    before, _, line = stdout.rstrip().rpartition(b"\n")
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        raise LinkError(LinkProblem.OUTPUT, f"not an answer of the launcher: {words}") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
        raise LinkError(LinkProblem.OUTPUT, f"not an answer of the launcher: {words}")
    if not answer["ok"]:
        code = printable(str(answer.get("problem", "")), 40)
        raise LinkError(LinkProblem.LAUNCHER, f"{code}: {answer.get('detail', '')}", code)
    outputs = answer.get("outputs", [])
    if not isinstance(outputs, list) or not all(map(_is_output, outputs)):
        raise LinkError(LinkProblem.OUTPUT, "not an answer of the launcher: its outputs are malformed")
    if (size := answer.get("body")) is not None:
        if not isinstance(size, int) or not 0 < size <= len(before):
            raise LinkError(LinkProblem.OUTPUT, "not an answer of the launcher: a piece of a file is missing")
        answer["body"] = before[-size:]
    return answer


def _is_output(value: object) -> bool:
    """Whether `value` is how one command ended."""
    if not isinstance(value, dict):
        return False
    texts = isinstance(value.get("stdout"), str) and isinstance(value.get("stderr"), str)
    return texts and isinstance(value.get("status"), int)
