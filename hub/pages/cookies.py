"""Signed cookies and XSRF tokens.

A cookie is `time.payload.signature`, HMAC-SHA256 over its name, time and payload, so that no cookie can be passed off
as another. The XSRF token is a signature of the login cookie's content: it needs no store, and it dies with the login.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and reads small values; `clock` gives seconds since the epoch."""

    secret: bytes
    clock: Callable[[], float] = time.time

    def _signature(self, *parts: str) -> str:
        return _encode(hmac.digest(self.secret, "\0".join(parts).encode(), hashlib.sha256))

    def sign(self, name: str, value: dict[str, Any]) -> str:
        """The content of the cookie `name` for `value` (anything that JSON can hold)."""
        payload = _encode(json.dumps(value, separators=(",", ":")).encode())
        stamp = str(int(self.clock()))
        return f"{stamp}.{payload}.{self._signature('cookie', name, stamp, payload)}"

    def read(self, name: str, content: str | None, max_age: float) -> dict[str, Any] | None:
        """The value of the cookie `name`, or None if it is missing, forged or older than `max_age` seconds."""
        parts = (content or "").split(".")
        if len(parts) != 3 or not parts[0].isascii() or not parts[0].isdigit():
            return None
        stamp, payload, signature = parts
        good = self._signature("cookie", name, stamp, payload)
        if not hmac.compare_digest(good.encode(), signature.encode()) or self.clock() - int(stamp) > max_age:
            return None
        value = json.loads(_decode(payload))
        return value if isinstance(value, dict) else None

    def xsrf(self, token: str) -> str:
        """The XSRF token that goes with the login `token`."""
        return self._signature("xsrf", token)

    def xsrf_good(self, token: str, given: str | None) -> bool:
        """`given` is the XSRF token of the login `token`."""
        return given is not None and hmac.compare_digest(self.xsrf(token).encode(), given.encode())

    def picture(self, token: str, path: str) -> str:
        """What lets an `<img>` of a page of ours show `path` to the login `token`: it can carry no header.

        A script of a notebook on the same origin does not know it, and learns nothing else from it.
        """
        return self._signature("picture", token, path)

    def picture_good(self, token: str, path: str, given: str | None) -> bool:
        """`given` is what `picture` says."""
        return given is not None and hmac.compare_digest(self.picture(token, path).encode(), given.encode())
