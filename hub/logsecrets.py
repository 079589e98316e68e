"""Keeps what opens something out of the hub's and the proxy's logs: where the broker is away, the hub logs the address
of its own error page, and with it the address that was asked for, which may be a link to a shared run; and so does the
proxy.
"""

from __future__ import annotations

import logging
import re

_LINK = re.compile(r"(?i)(/|%2F)(shared)(/|%2F)[A-Za-z0-9_-]{16,}")


def without_links(text: str) -> str:
    """`text` without the tokens of links to shared runs."""
    return _LINK.sub(r"\1\2\3[secret]", text)


class NoLinks(logging.Filter):
    """Takes those tokens out of what is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes, without tokens."""
        text = record.getMessage()
        if (clean := without_links(text)) != text:
            record.msg, record.args = clean, ()
        return True


def keep_out() -> None:
    """Do so for the log of requests."""
    log = logging.getLogger("tornado.access")
    if not any(isinstance(one, NoLinks) for one in log.filters):
        log.addFilter(NoLinks())


__all__ = ["NoLinks", "keep_out", "without_links"]
