"""One command over an SSH connection: bytes in, bounded bytes out, within a time limit.

The other end is a machine that we do not control. What it prints is read in pieces and counted, so that neither an
endless answer nor a line of a gigabyte costs more than the limit, and a command that hangs ends with its time.
"""

# A caller says how long it waits.
# ruff: noqa: ASYNC109
from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncssh

_PIECE = 65536


class TooMuch(Exception):
    """The other end printed more than the limit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How the command ended; `status` is None if the other end did not say."""

    status: int | None
    stdout: bytes
    stderr: bytes


async def _collect(reader: asyncssh.SSHReader[bytes], limit: int, *, drop: bool) -> bytes:
    """What `reader` brings until its end: at most `limit` bytes, more is thrown away (`drop`) or raises TooMuch."""
    pieces: list[bytes] = []
    kept = seen = 0
    while piece := await reader.read(_PIECE):
        seen += len(piece)
        if kept < limit:
            pieces.append(piece[: limit - kept])
            kept += len(pieces[-1])
        if seen > (limit * 64 if drop else limit):
            raise TooMuch
    return b"".join(pieces)


async def run(
    connection: asyncssh.SSHClientConnection, command: str, data: bytes, *, limit: int, timeout: float
) -> Answer:
    """Run `command` with `data` as its standard input.

    `limit` bounds the standard output in bytes; of the standard error 64 KiB are kept. `timeout` in seconds.

    Raises:
        TooMuch: the output is longer than `limit`.
        TimeoutError: it did not end in time.
        asyncssh.Error, OSError: the connection failed.
    """
    async with asyncio.timeout(timeout):
        process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(command, encoding=None)
        try:
            async with asyncio.TaskGroup() as group:
                out = group.create_task(_collect(process.stdout, limit, drop=False))
                err = group.create_task(_collect(process.stderr, 65536, drop=True))
                group.create_task(_feed(process, data))
            await process.wait_closed()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            process.channel.abort()
        return Answer(process.exit_status, out.result(), err.result())


async def _feed(process: asyncssh.SSHClientProcess[bytes], data: bytes) -> None:
    """Write the standard input; a command that does not want it all says so by its answer."""
    try:
        for start in range(0, len(data), 1 << 20):
            process.stdin.write(data[start : start + (1 << 20)])
            await process.stdin.drain()
        process.stdin.write_eof()
    except (BrokenPipeError, ConnectionError):
        pass
