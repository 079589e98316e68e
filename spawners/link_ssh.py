"""The link to a centre over SSH: a connection for commands and one for streams per account, made when they are needed.

- Only the host keys of the centre's description are accepted; nothing of the gateway user's own `~/.ssh` is read, no
  agent, no X11, no agent forwarding.
- One command is run right after connecting: sshd turns off Nagle's algorithm with the first session of a connection,
  and channels that only forward have delays of 28-45 ms (p99) until then, 0.5-3 ms afterwards.
- Commands wait for a free slot (`login.sessions`): the eleventh at once fails at a default sshd (`MaxSessions 10`).
- Streams go through OpenSSH where the gateway has it (see `link_master`), through the commands' connection elsewhere.
- A command that gets no answer retires the connection: streams in it go on, as they may be healthy (a home directory
  that hangs stops shells only), new commands get a new connection. Keepalives (5 s x 3) find a dead one.
- While a login node cannot be reached callers fail at once with the last reason, until the next attempt is due.
"""

# A caller says how long it waits.
# ruff: noqa: ASYNC109
from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
from perijove.spawners import link_master, remote
from perijove.spawners.centre import Centre
from perijove.spawners.link import (
    ANSWER_LIMIT,
    CIPHERS,
    Account,
    Link,
    LinkError,
    LinkProblem,
    decode,
    encode,
    launcher_argv,
    shell_words,
)
from perijove.spawners.link_agent import KEEPALIVE_COUNT, KEEPALIVE_INTERVAL, connect
from perijove.spawners.link_kept import Kept
from perijove.spawners.link_master import Master

CONNECT_TIMEOUT = 15.0


class SSHLink(Link):
    """An account at a login node."""

    def __init__(self, centre: Centre, account: Account) -> None:
        super().__init__(centre, account)
        self._commands = Kept(self._open, lambda connection: not connection.is_closed())
        self._streams = Kept(self._open_master, lambda master: master.alive)
        self._retired: list[asyncssh.SSHClientConnection] = []
        self._slots = asyncio.Semaphore(centre.login.sessions)

    async def launch(self, request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:
        """As `Link.launch`."""
        connection = None
        argv = launcher_argv(self.centre, self.account)
        try:
            async with asyncio.timeout(timeout), self._slots:
                connection = await self._commands.get()
                data = encode(self.centre, request)
                command = shell_words(argv)
                try:
                    answer = await remote.run(connection, command, data, limit=ANSWER_LIMIT, timeout=timeout)
                except asyncssh.ChannelOpenError:
                    if not connection.is_closed():
                        raise
                    connection = await self._commands.get()  # it broke while idle: nothing was run yet
                    answer = await remote.run(connection, command, data, limit=ANSWER_LIMIT, timeout=timeout)
        except TimeoutError:
            self._retire(connection)
            raise LinkError(LinkProblem.TIMEOUT, f"no answer in {timeout:g} s") from None
        except remote.TooMuch:
            raise LinkError(LinkProblem.OUTPUT, f"more than {ANSWER_LIMIT} bytes of output") from None
        except asyncssh.ChannelOpenError as error:
            self._retire(connection)
            raise LinkError(LinkProblem.REFUSED, f"no command is allowed: {error.reason}") from None
        except (asyncssh.Error, OSError) as error:
            self._retire(connection)
            raise LinkError(LinkProblem.UNREACHABLE, f"the connection broke: {error}") from None
        if answer.status is None:
            raise LinkError(LinkProblem.UNREACHABLE, "the command ended without a status")
        return decode(answer.status, answer.stdout, answer.stderr)

    async def connect(
        self, node: str, port: int, *, host_key: str, client_key: asyncssh.SSHKey
    ) -> asyncssh.SSHClientConnection:
        """As `Link.connect`."""
        through = await (self._streams.get() if link_master.available() else self._commands.get())
        return await connect(node, port, host_key=host_key, client_key=client_key, through=through)

    async def close(self) -> None:
        """End the connections and all that goes over them."""
        master, self._streams.now = self._streams.now, None
        if master is not None:
            await master.close()
        ending = [connection for connection in (self._commands.now, *self._retired) if connection is not None]
        self._commands.now, self._retired = None, []
        for connection in ending:
            connection.abort()
        await asyncio.gather(*(connection.wait_closed() for connection in ending))

    async def _open_master(self) -> Master:
        """A new connection for streams."""
        old, login = self._streams.now, self.centre.login
        if old is not None:
            await old.close()
        return await Master.open(login, self.account.name or login.account, self.account.key_file or login.key_file)

    async def _open(self) -> asyncssh.SSHClientConnection:
        """A new connection, with its first command done."""
        login = self.centre.login
        key_file = self.account.key_file or login.key_file
        try:
            host_keys = [asyncssh.import_public_key(key) for key in login.host_keys]
            client_key = asyncssh.read_private_key(key_file)
        except (asyncssh.KeyImportError, OSError) as error:
            raise LinkError(LinkProblem.LOGIN, f"a key cannot be read: {error}") from None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await asyncssh.connect(
                    login.host,
                    login.port,
                    known_hosts=(host_keys, [], []),
                    client_keys=[client_key],
                    username=self.account.name or login.account,
                    config=[],
                    agent_path=None,
                    agent_forwarding=False,
                    x11_forwarding=False,
                    encryption_algs=CIPHERS,
                    compression_algs=None,
                    preferred_auth=["publickey"],
                    keepalive_interval=KEEPALIVE_INTERVAL,
                    keepalive_count_max=KEEPALIVE_COUNT,
                )
        except asyncssh.HostKeyNotVerifiable as error:
            raise LinkError(LinkProblem.HOST_KEY, error.reason) from None
        except asyncssh.PermissionDenied as error:
            raise LinkError(LinkProblem.LOGIN, error.reason) from None
        except TimeoutError:
            raise LinkError(LinkProblem.TIMEOUT, f"no connection in {CONNECT_TIMEOUT:g} s") from None
        except (asyncssh.Error, OSError) as error:
            raise LinkError(LinkProblem.UNREACHABLE, str(error)) from None
        await _warm(connection)
        return connection

    def _retire(self, connection: asyncssh.SSHClientConnection | None) -> None:
        """Use `connection` for nothing new; end it if nothing goes over it."""
        if connection is None:
            return
        if connection is self._commands.now:
            self._commands.now = None
        self._retired = [old for old in self._retired if not old.is_closed()]
        if not connection.is_closed() and connection not in self._retired:
            self._retired.append(connection)


async def _warm(connection: asyncssh.SSHClientConnection) -> None:
    """The first command of a connection. That it fails (an account of one program) is no harm: it was a session."""
    try:
        await remote.run(connection, "true", b"", limit=65536, timeout=5)
    except (remote.TooMuch, TimeoutError, asyncssh.Error, OSError):
        return
