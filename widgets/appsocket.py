"""The channels of an app's kernel: what widgets need passes, code does not.

Whoever may open the page could otherwise have the kernel run anything, with the rights of the session's owner; and the
notebook's source would come back with `execute_input`, which Voila leaves out.
"""

from __future__ import annotations

import json
from typing import Any

from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

#: Messages of a page that reach the kernel.
_PASS = frozenset({"comm_open", "comm_msg", "comm_close", "comm_info_request", "kernel_info_request"})
#: Parts of a message: its channel, four of JSON, and buffers.
_MOST_PARTS = 1000


class AppSocketHandler(VoilaKernelWebsocketHandler):  # type: ignore[misc]
    """`api/kernels/ID/channels`."""

    def on_message(self, ws_message: Any) -> None:
        """Pass on what is for widgets; drop all else."""
        if message_type(ws_message) in _PASS:
            super().on_message(ws_message)


def message_type(message: str | bytes) -> str:
    """The type of a message of either protocol of Jupyter's websockets; "" where it has none."""
    try:
        header = _binary_header(message) if isinstance(message, bytes) else json.loads(message)["header"]
        return str(header["msg_type"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _binary_header(message: bytes) -> Any:
    """The header of a message of the protocol v1.kernel.websocket.jupyter.org. Raises ValueError.

    Voila's own reader believes the number of parts that stands in the message, and counts to 2^64 if it is told to.
    """
    parts = int.from_bytes(message[:8], "little")
    if not 2 <= parts <= _MOST_PARTS or len(message) < 8 * (parts + 1):
        raise ValueError("no message")
    first, last = (int.from_bytes(message[8 * n : 8 * n + 8], "little") for n in (2, 3))
    return json.loads(message[first:last])
