"""What the steps of a trial say, and what to mend when one fails."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any

from perijove.spawners.batch import BatchError, BatchProblem
from perijove.spawners.launcher import VERSION as LAUNCHER
from perijove.spawners.link import LinkError, LinkProblem
from perijove.spawners.tunnel_types import TunnelError, TunnelProblem

#: What the first call of a login tells, in this order.
LOGIN_STEPS = ("reach", "host key", "login", "launcher")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a trial or one check of the machine. `state`: ok, advice, failed or skipped; `seconds` it took."""

    name: str
    state: str
    seconds: float
    detail: str = ""
    mend: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


class Failed(Exception):
    """A step failed; `mend` says what to do."""

    def __init__(self, detail: str, mend: str) -> None:
        self.detail, self.mend = detail, mend
        super().__init__(detail)


def step_of(problem: LinkProblem) -> str:
    """The step at which a link with this problem stopped."""
    return {
        LinkProblem.UNREACHABLE: "reach",
        LinkProblem.TIMEOUT: "reach",
        LinkProblem.HOST_KEY: "host key",
        LinkProblem.LOGIN: "login",
        LinkProblem.REFUSED: "login",
    }.get(problem, "launcher")


def mend_link(error: LinkError) -> str:
    """What to do about a link that failed."""
    by_code = {
        "home-full": "free space in the account's home directory, or have its quota raised",
        "home-missing": "have the centre make the account's home directory",
        "home-denied": "let the account write into paths.base",
        "settings": "mend /etc/perijove/launcher.json at the login node",
        "not-allowed": "list the command in /etc/perijove/launcher.json at the login node",
    }
    by_problem = {
        LinkProblem.UNREACHABLE: "check login.host and login.port, the network between, and the centre's firewall",
        LinkProblem.TIMEOUT: "is the login node overloaded, or does a firewall drop our packets?",
        LinkProblem.HOST_KEY: "compare ssh-keyscan with what the centre publishes; only then change login.host_keys",
        LinkProblem.LOGIN: "check login.account and login.key_file; is its public key in authorized_keys there?",
        LinkProblem.REFUSED: "ask the centre: its SSH server refuses a session or forwarding (AllowTcpForwarding)",
        LinkProblem.LAUNCHER: "check login.python and login.launcher (for sudo: the line in sudoers)",
        LinkProblem.OUTPUT: "does the account's shell start-up file print something or wait for input? It must not",
    }
    return by_code.get(error.code) or by_problem[error.problem]


def older_launcher(version: object) -> str:
    """What is said of a launcher of this version that is installed at a centre; "" where it is not an older one."""
    if not isinstance(version, int) or version >= LAUNCHER:
        return ""
    return f"launcher {version} is installed, this gateway wants {LAUNCHER}: people's files are not moved"


def mend_launcher(path: str | None) -> str:
    """What to do about it; `path` is where it is installed."""
    here = shlex.quote(path or "/usr/local/bin/perijove-launcher")
    return f"install this gateway's launcher anew there: install -o root -g root -m 755 launcher.py {here}"


def mend_batch(error: BatchError) -> str:
    """What to do about a batch system that refused or did not answer."""
    return {
        BatchProblem.REFUSED: "check the queue's name, account and limits, and scheduler.extra, in the description",
        BatchProblem.NOT_ALLOWED: "ask the centre to let this account use the queue",
        BatchProblem.UNAVAILABLE: "the batch system does not answer: try again later, or tell the centre",
        BatchProblem.UNREADABLE: "is it the batch system that scheduler.system says, in a version that we know?",
    }.get(error.problem, "see what the batch system says")


def mend_tunnel(error: TunnelError) -> str:
    """What to do about an agent that is not reached."""
    return {
        TunnelProblem.NO_AGENT: "may the login node connect to compute nodes on the ports in [ports]? "
        "Does environment.python start on a compute node?",
        TunnelProblem.WRONG_KEY: "other programs hold these ports: choose another range in [ports]",
        TunnelProblem.LINK: "the login node must forward TCP connections: AllowTcpForwarding yes (or local)",
        TunnelProblem.REFUSED: "the agent's own words say why",
    }.get(error.problem, "the connection broke: try again; if it stays, look at the login node's log")


MEND_PROGRAMS = "is scheduler.system right? Give renamed commands or their absolute paths in [scheduler.commands]"
MEND_PYTHON = "check environment.python: it must be there on the login node and on compute nodes"
MEND_PACKAGES = "install into that environment: pip install 'perijove[session]'"
MEND_SPACE = "free space there, or let paths.base be elsewhere"
MEND_ENDED = "see the log; often environment.python or a line of environment.prolog fails on compute nodes"
MEND_WAIT = "the queue may be full: try again with a longer --wait, or another --queue"
MEND_SERVER = "does $TMPDIR on compute nodes allow unix sockets? See the words of the server"
MEND_APPS = (
    "has the environment of jobs the gateway's version of Perijove? pip install --upgrade 'perijove[session]' there"
)
MEND_CANCEL = "cancel it by hand and ask the centre why it does not end"
