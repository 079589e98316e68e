"""Whose account a person's jobs run under at a centre.

`self` and `community`: the account in the centre's description. `key`: the person registers an account and gets a key
pair made for it; they install the public half at the centre, and a login proves that the account is theirs. `sudo`: the
service account may run the launcher as the person, so nobody may name their own account; an operator does, here or in
the settings' `identities_file`:

    [tianjin]            # the id of a centre
    alice = "al01"       # person = "account"

Private keys are files of mode 0600 in the state directory; they are in no table, answer or log.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncssh
from perijove.hub.broker.database import Database
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import identities
from perijove.hub.secretfiles import private_directory, write_once
from perijove.spawners.centre import Centre
from perijove.spawners.link import Account, LinkError
from perijove.spawners.names import account_fault
from perijove.spawners.request import BadRequest, Fault
from perijove.spawners.watcher import LinkPool
from sqlalchemy import Connection, delete, insert, select, update


@dataclass(frozen=True, slots=True)
class Identity:
    """A person's registered account at a centre. `checked`: a login with it worked then."""

    centre: str
    owner: str
    account: str
    key_name: str
    public_key: str
    by: str
    created: datetime
    checked: datetime | None
    problem: str

    def view(self) -> dict[str, Any]:
        """For the API: nothing secret."""
        return {
            "centre": self.centre,
            "owner": self.owner,
            "account": self.account,
            "public_key": self.public_key,
            "created": self.created.isoformat(),
            "checked": self.checked.isoformat() if self.checked else None,
            "problem": self.problem,
        }


class Identities:
    """Everybody's accounts."""

    def __init__(self, database: Database, folder: Path, file: Path | None, clock: Clock) -> None:
        self.database = database
        self.folder = folder
        self.file = file
        self.clock = clock

    async def account(self, owner: str, centre: Centre) -> Account:
        """The account under which jobs of `owner` run at `centre`.

        Raises:
            BadRequest: they have none, or it was never proven.
        """
        if centre.login.identity in ("self", "community"):
            return Account()
        if centre.login.identity == "sudo" and (named := self._in_file(centre.id, owner)) is not None:
            return self._as(owner, centre, named)
        found = await self.get(owner, centre.id)
        if found is None or (centre.login.identity == "key" and not found.key_name):
            raise _missing(centre, "no-account", f"register your account at {centre.id} first")
        if centre.login.identity == "sudo":
            return self._as(owner, centre, found.account)
        if found.checked is None:
            raise _missing(centre, "account-unchecked", f"your key for {centre.id} does not work yet: {found.problem}")
        return Account(name=found.account, key_file=str(self._key(found.key_name)))

    async def get(self, owner: str, centre: str) -> Identity | None:
        """What is registered."""
        found = await self.listing(owner)
        return next((identity for identity in found if identity.centre == centre), None)

    async def listing(self, owner: str) -> list[Identity]:
        """All accounts of a person."""

        def work(c: Connection) -> list[Identity]:
            rows = c.execute(select(identities).where(identities.c.owner == owner).order_by(identities.c.centre))
            return [Identity(**dict(row._mapping)) for row in rows]

        return await self.database.read(work)

    async def register(self, owner: str, centre: Centre, account: str, by: str) -> Identity:
        """Register `account`; with identity `key` a new key pair is made for it, to be installed and then checked.

        Raises:
            BadRequest: the centre needs none, or this can be no account there.
        """
        if centre.login.identity not in ("key", "sudo"):
            raise _missing(centre, "no-account-needed", f"{centre.id} needs no account of your own")
        if fault := account_fault(centre, account):
            raise BadRequest([Fault("account", "bad-account", fault, {"centre": centre.id})])
        name = public = ""
        now = self.clock()
        if centre.login.identity == "key":
            name, public = self._make_key(owner)
        row = Identity(centre.id, owner, account, name, public, by, now, None, "")
        where = (identities.c.owner == owner, identities.c.centre == centre.id)

        def work(c: Connection) -> str:
            old = c.scalar(select(identities.c.key_name).where(*where))
            c.execute(delete(identities).where(*where))
            c.execute(insert(identities).values(**asdict(row)))
            return str(old or "")

        await self.database.write(work)
        return row

    async def check(self, identity: Identity, centre: Centre, links: LinkPool) -> Identity:
        """Log in as the account, and remember whether that worked."""
        if centre.login.identity == "sudo":
            account = self._as(identity.owner, centre, identity.account)
        else:
            account = Account(name=identity.account, key_file=str(self._key(identity.key_name)))
        problem, checked = "", self.clock()
        try:
            request = {"verb": "check", "base": centre.paths.base, "programs": [], "python": "", "timeout": 15}
            answer = await links.get(centre, account).launch(request, timeout=20.0)
            said = answer.get("account")
            if said != identity.account:
                problem = f"the login leads to the account {said!r}"
        except LinkError as error:
            problem = f"{error.problem.value}: {error.detail}"[:500]
        values = {"problem": problem, "checked": None if problem else checked}
        where = (
            identities.c.owner == identity.owner,
            identities.c.centre == identity.centre,
            identities.c.key_name == identity.key_name,
        )
        await self.database.write(lambda c: c.execute(update(identities).where(*where).values(**values)) and None)
        return await self.get(identity.owner, identity.centre) or identity

    async def remove(self, owner: str, centre: str) -> bool:
        """Forget an account, and its key with it (running sessions keep the connections they have)."""
        found = await self.get(owner, centre)
        if found is None:
            return False
        where = (identities.c.owner == owner, identities.c.centre == centre)
        await self.database.write(lambda c: c.execute(delete(identities).where(*where)) and None)
        return True

    def _as(self, owner: str, centre: Centre, account: str) -> Account:
        if fault := account_fault(centre, account):
            raise _missing(centre, "bad-account", f"the account of {owner}: {fault}")
        return Account(run_as=account)

    def _in_file(self, centre: str, owner: str) -> str | None:
        if self.file is None:
            return None
        try:
            table = tomllib.loads(self.file.read_text(encoding="utf-8")).get(centre)
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
            return None
        named = table.get(owner) if isinstance(table, dict) else None
        return named if isinstance(named, str) else None

    def _key(self, name: str) -> Path:
        return self.folder / name

    def _make_key(self, owner: str) -> tuple[str, str]:
        """A new key pair: the name of its file, and the public half."""
        key = asyncssh.generate_private_key("ssh-ed25519", comment=f"perijove for {owner}"[:100])
        name = f"{secrets.token_hex(16)}.key"
        write_once(private_directory(self.folder) / name, key.export_private_key().decode("ascii"))
        os.chmod(self.folder / name, 0o600)  # noqa: PTH101
        return name, key.export_public_key().decode("utf-8").strip()


def _missing(centre: Centre, code: str, message: str) -> BadRequest:
    return BadRequest([Fault("centre", code, message, {"centre": centre.id})])


__all__ = ["Identities", "Identity"]
