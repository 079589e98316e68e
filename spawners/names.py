"""Names that always fit, for any input, without collisions.

A person's name, a server's name and an account come from outside and end in folder names, unix socket names, OAuth
client ids and routes. Two habits keep them apart (the model is kubespawner's `slugs.py`): what is valid stays as it is,
anything else gets a digest of the whole, behind a mark (`---`) that no valid name may contain. Nothing here does I/O.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from perijove.spawners.centre import Centre
from perijove.spawners.visible import visible

#: 80 bits, in base 32: nobody finds a name that meets another person's.
_DIGEST = 16
_VALID = re.compile(r"[a-z](-?[a-z0-9])*")
#: The shortest `length` for `safe_slug`: one letter, the mark and the digest.
SHORTEST = _DIGEST + 4
#: Accounts that no session may run under, whatever a person enters.
SYSTEM_ACCOUNTS = frozenset(
    {"root", "toor", "daemon", "bin", "sys", "adm", "nobody", "sshd", "slurm", "munge", "sgeadmin"}
)


def _digest(*parts: str) -> str:
    """A digest of all of `parts`; each goes in with its length, so that no two lists of parts are one text."""
    whole = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        whole.update(len(raw).to_bytes(8, "big") + raw)
    return base64.b32encode(whole.digest()).decode()[:_DIGEST].lower()


def _readable(text: str, length: int) -> str:
    """What can be read of `text`: lower-case letters, digits and single hyphens, never empty."""
    words = re.sub(r"[^a-z0-9]+", "-", text[: 4 * length].lower()).strip("-")
    if not words or not words[0].isalpha():
        words = "x-" + words
    return words[:length].rstrip("-")


def safe_slug(text: str, length: int = 32) -> str:
    """A DNS label of at most `length` characters for any `text`; different texts have different ones.

    A text that is a valid label without `--` stays as it is.

    Raises:
        ValueError: `length` is too small (below `SHORTEST`) or above 63, the most that a label may have.
    """
    if not SHORTEST <= length <= 63:
        raise ValueError(f"the length of a slug is {SHORTEST} to 63, not {length}")
    if len(text) <= length and _VALID.fullmatch(text):
        return text
    return f"{_readable(text, length - _DIGEST - 3)}---{_digest(text)}"


def server_key(user: str, server: str = "", length: int = 48) -> str:
    """A DNS label for one server of one person; `server` is "" for the default one.

    `alice-prod` and alice's server `prod` differ, and so do any other two pairs: the digest is always there and is
    taken of both names with their lengths. Fit for folders, unix sockets, routes and OAuth client ids.

    Raises:
        ValueError: `length` is not 26 to 63.
    """
    if not _DIGEST + 10 <= length <= 63:
        raise ValueError(f"the length of a server's key is {_DIGEST + 10} to 63, not {length}")
    each = (length - _DIGEST - 5) // 2
    words = [_readable(name, each) for name in (user, server) if name]
    return f"{'--'.join(words) or 'x'}---{_digest(user, server)}"


def oauth_client_id(user: str, server: str = "") -> str:
    """The OAuth client id of one server: JupyterHub's own way would give `alice-prod` that of alice's server `prod`."""
    return f"jupyterhub-user-{server_key(user, server)}"


def account_fault(centre: Centre, name: Any) -> str:
    """Why `name` cannot be a person's account at `centre`, in words; "" if it can be one.

    Only the form is checked: whether there is such an account, the centre knows.
    """
    pattern = centre.login.accounts
    if not isinstance(name, str) or not name:
        return "give the name of the account at the centre"
    if len(name) > 64 or not name.isascii() or not re.fullmatch(pattern, name):
        return f"{visible(name, 40)!r} is not an account name of {centre.id}: allowed is {visible(pattern, 100)}"
    if name in SYSTEM_ACCOUNTS or (centre.login.identity == "sudo" and name == centre.login.account):
        return f"sessions do not run under the account {name!r}"
    return ""


__all__ = ["SHORTEST", "SYSTEM_ACCOUNTS", "account_fault", "oauth_client_id", "safe_slug", "server_key", "visible"]
