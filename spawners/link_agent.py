"""The SSH connection from the gateway to an agent, over whatever leads to its node.

The inner connection proves that the agent is the session's own (its host key), and that we are its gateway (the client
key), and nobody between the two can read it: the login node sees ciphertext only. Both hops encrypt, then, which
`ssh -L` to a node does not; on a machine of two cores that is the difference of the streams (deploy/bench/tunnel.py on
the testbed, medians: 224 MB/s down and 133 up beside 352 and 364; small messages 1.0 ms beside 0.2-0.3). Per GB the
inner hop costs 2-4 CPU seconds at the gateway and 2.5-3.5 in the job; TLS in its place was measured at 1.7 and 1.3-2,
with a buffer of 256 KiB for each connection, a port more, and no multiplexing.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import asyncssh
from perijove.spawners.link import AGENT_USER, CIPHERS, LinkError, LinkProblem, NoAgent, WrongKey
from perijove.spawners.link_master import Master
from perijove.spawners.pipe import PACKET, WINDOW

#: Seconds until a node that does not answer counts as one without an agent.
CONNECT_TIMEOUT = 5.0
#: An agent that does not answer for INTERVAL * COUNT seconds is lost.
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 5, 3

_FORWARDING = (
    "the login node does not forward connections to compute nodes: ask the centre for `AllowTcpForwarding yes` "
    "(or `local`) and a `PermitOpen` that covers them for this account in its sshd_config"
)


class Hop:
    """The way through a login node, with a window fit for a data path (asyncssh's own is 2 MiB)."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.connection = connection
        self.logger = connection.logger

    async def create_connection(self, factory: Any, host: str, port: int) -> Any:
        """A `direct-tcpip` channel to `port` of `host`; asyncssh calls this to nest a connection."""
        return await self.connection.create_connection(factory, host, port, window=WINDOW, max_pktsize=PACKET)


async def connect(
    host: str,
    port: int,
    *,
    host_key: str,
    client_key: asyncssh.SSHKey,
    through: asyncssh.SSHClientConnection | Master | None,
) -> asyncssh.SSHClientConnection:
    """Connect to an agent, directly or `through` a login node. Raises as `Link.connect`."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if isinstance(through, Master):
                return await _through_master(through, host, port, host_key, client_key)
            way = {"tunnel": Hop(through)} if through is not None else {}
            return await _handshake(host, port, host_key, client_key, **way)
    except LinkError as error:
        if error.problem is LinkProblem.REFUSED:
            raise LinkError(LinkProblem.REFUSED, f"{_FORWARDING} ({error.detail})") from None
        raise
    except asyncssh.ChannelOpenError as error:
        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            raise LinkError(LinkProblem.REFUSED, f"{_FORWARDING} ({error.reason})") from None
        if isinstance(through, asyncssh.SSHClientConnection) and through.is_closed():
            raise LinkError(LinkProblem.UNREACHABLE, "the connection to the login node broke") from None
        raise NoAgent(f"{host}:{port}: {error.reason}") from None
    except (asyncssh.HostKeyNotVerifiable, asyncssh.PermissionDenied) as error:
        raise WrongKey(f"{host}:{port}: {error.reason}") from None
    except TimeoutError:
        raise NoAgent(f"{host}:{port}: no answer in {CONNECT_TIMEOUT:g} s") from None
    except (BrokenPipeError, ConnectionResetError) as error:
        raise WrongKey(f"{host}:{port}: {error}") from None
    except OSError as error:
        raise NoAgent(f"{host}:{port}: {error}") from None
    except asyncssh.Error as error:  # no SSH server, or one that ended the connection
        raise WrongKey(f"{host}:{port}: {error.reason}") from None


async def _handshake(
    host: str, port: int, host_key: str, client_key: asyncssh.SSHKey, **way: Any
) -> asyncssh.SSHClientConnection:
    """An SSH connection to the agent, over what `way` says."""
    return await asyncssh.connect(
        host,
        port,
        **way,
        known_hosts=([asyncssh.import_public_key(host_key)], [], []),
        client_keys=[client_key],
        username=AGENT_USER,
        config=[],
        agent_path=None,
        agent_forwarding=False,
        encryption_algs=CIPHERS[:2],
        kex_algs=["curve25519-sha256"],
        server_host_key_algs=["ssh-ed25519"],
        compression_algs=None,
        preferred_auth=["publickey"],
        keepalive_interval=KEEPALIVE_INTERVAL,
        keepalive_count_max=KEEPALIVE_COUNT,
        rekey_bytes=1 << 34,
    )


async def _through_master(
    master: Master, host: str, port: int, host_key: str, client_key: asyncssh.SSHKey
) -> asyncssh.SSHClientConnection:
    """An SSH connection to the agent, over a channel of OpenSSH's."""
    sock, control = await master.channel(host, port)
    try:
        connection = await _handshake(host, port, host_key, client_key, sock=sock)
    except BaseException:
        control.close()
        sock.close()
        raise
    _close_after(connection, control)
    return connection


def _close_after(connection: asyncssh.SSHClientConnection, control: socket.socket) -> None:
    """Close `control` when `connection` has ended."""
    task = asyncio.create_task(connection.wait_closed())
    _waiting.add(task)

    def ended(_: object) -> None:
        _waiting.discard(task)
        control.close()

    task.add_done_callback(ended)


_waiting: set[asyncio.Task[None]] = set()
