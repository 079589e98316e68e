"""The demo's own short list of people. Their passwords are made once per state directory and printed by the command.

A real gateway uses a real authenticator; this one refuses to work unless the gateway listens on 127.0.0.1, where the
list is as safe as the file it stands in.
"""

from __future__ import annotations

import hmac
import json
import secrets
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from perijove.hub import secretfiles
from traitlets import Unicode

#: Two people, a teacher, and an operator, who is the hub's administrator.
NAMES = ("alice", "bob", "teacher", "operator")
_WORDS = "amalthea ananke callisto carme elara europa ganymede himalia io kale leda metis pasithee sinope thebe".split()  # noqa: SIM905


def people_file(directory: Path) -> Path:
    """The file with the demo's people and their passwords in `directory` (mode 0600), made if it is not there."""
    path = directory / "people.json"
    if not path.exists():
        made = {name: "-".join([*(secrets.choice(_WORDS) for _ in range(3)), secrets.token_hex(2)]) for name in NAMES}
        secretfiles.write_once(path, json.dumps(made, indent=2) + "\n")
    return path


def passwords(directory: Path) -> dict[str, str]:
    """Name and password of each of the demo's people."""
    found: dict[str, str] = json.loads(people_file(directory).read_text(encoding="ascii"))
    return found


class DemoAuthenticator(Authenticator):  # type: ignore[misc]
    """Lets the demo's people in, by name and password."""

    people_file = Unicode(help="The JSON file with name and password of each person.").tag(config=True)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """The name if the password is right; None otherwise, in the same time for every name."""
        known = passwords(Path(self.people_file).parent)
        name = str(data.get("username", "")).lower()
        expected = known.get(name, secrets.token_hex(16))
        same = hmac.compare_digest(expected.encode(), str(data.get("password", "")).encode())
        return name if same and name in known else None
