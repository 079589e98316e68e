"""The gateway's end of a tunnel while there is no way to the session."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from perijove.spawners.pipe import Pipe
from perijove.spawners.tunnel_listener import Listener


async def test_a_client_that_went_away_before_it_was_refused_is_no_error() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def no_way() -> Pipe:
        asked.set()
        await gone.wait()
        raise ConnectionError("the agent does not answer")

    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
    listener = Listener(0, no_way)
    await listener.open()
    listener.set_up(True)
    client = socket.create_connection(("127.0.0.1", listener.port))
    await asked.wait()
    client.close()  # what is written to it now is answered with a reset
    (task,) = listener._tasks
    gone.set()
    await asyncio.wait({task})
    assert task.exception() is None
    await listener.close()
    assert not faults
