"""Secrets as files: each in a file of mode 0600 in a directory of mode 0700, made once, never overwritten.

Made under another name and linked into place, so that two processes that start together agree on one secret, and a
crash leaves no half of one.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

#: The secrets there are, and how each is made.
NAMES = ("proxy.token", "broker.token", "metrics.token", "cookie_secret", "agent_key")


class UnsafeSecret(PermissionError):
    """A secret's file or directory that other accounts may read or that is not ours."""


def private_directory(path: Path) -> Path:
    """`path` as a directory of mode 0700; made with its parents if it is not there.

    Raises:
        UnsafeSecret: it belongs to somebody else.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise UnsafeSecret(f"{path} belongs to uid {found.st_uid}, not to this process")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def ensure(directory: Path, name: str) -> Path:
    """The file of the secret `name` in `directory`, made if it is not there.

    Raises:
        LookupError: there is no secret of that name.
        UnsafeSecret: the file may be read by other accounts, so that the secret is none.
    """
    if name not in NAMES:
        raise LookupError(f"there is no secret {name!r}; there are: {', '.join(NAMES)}")
    path = directory / name
    if not path.exists():
        write_once(path, _new(name))
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise UnsafeSecret(f"{path} is readable by others: chmod 600 it, and think of making a new one")
    return path


def write_once(path: Path, text: str) -> None:
    """Writes `text` to `path` with mode 0600 unless `path` is there by then."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # the other process was first; its secret counts
            os.link(draft, path)
    finally:
        draft.unlink()


def _new(name: str) -> str:
    if name == "agent_key":
        import asyncssh

        return asyncssh.generate_private_key("ssh-ed25519", "perijove gateway").export_private_key().decode("ascii")
    return secrets.token_hex(32) + "\n"
