"""The channels of an app's kernel: what widgets need passes, code does not.

Whoever may open the page could otherwise have the kernel run anything, with the rights of the session's owner; and the
notebook's source would come back with `execute_input`, which Voila leaves out.
"""

from __future__ import annotations

import json
from typing import Any

from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler, read_header_from_binary_message

#: Messages of a page that reach the kernel.
_PASS = frozenset({"comm_open", "comm_msg", "comm_close", "comm_info_request", "kernel_info_request"})


class AppSocketHandler(VoilaKernelWebsocketHandler):  # type: ignore[misc]
    """`api/kernels/ID/channels`."""

    def on_message(self, ws_message: Any) -> None:
        """Pass on what is for widgets; drop all else."""
        if message_type(ws_message) in _PASS:
            super().on_message(ws_message)


def message_type(message: str | bytes) -> str:
    """The type of a message of either protocol of Jupyter's websockets; "" where it has none."""
    try:
        header = (
            read_header_from_binary_message(message)
            if isinstance(message, bytes)
            else json.loads(message).get("header", {})
        )
        return str((header or {}).get("msg_type", ""))
    except (ValueError, AttributeError, IndexError):
        return ""
