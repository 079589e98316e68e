"""Whose account a person's jobs run under, for each way a centre may have it."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from broker.harness import Gateway, empty_store, until
from broker.simulated import SimulatedCentre, centre
from perijove.hub.broker.database import Database
from perijove.hub.broker.identity import Identities
from perijove.hub.broker.sessions import utc_now
from perijove.spawners.centre import Centre
from perijove.spawners.link import Account, LinkError, LinkProblem
from perijove.spawners.request import BadRequest
from perijove.spawners.session import Stage


def described(identity: str, **changes: Any) -> Centre:
    login = centre().login.model_dump(mode="json", exclude_defaults=True)
    return centre(login=login | {"identity": identity, "launcher": "/opt/perijove/launcher"} | changes)


@dataclass
class Desk:
    """Everybody's accounts, and the centre where they are."""

    identities: Identities
    simulated: SimulatedCentre
    folder: Path


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    await empty_store(tmp_path / "s.sqlite")
    database = Database(f"sqlite:///{tmp_path / 's.sqlite'}")
    yield Desk(Identities(database, tmp_path / "keys", None, utc_now), SimulatedCentre(), tmp_path)
    await database.close()


@pytest.mark.parametrize("identity", ["self", "community"])
async def test_a_centre_with_one_account_for_all_asks_nobody_for_one(desk: Desk, identity: str) -> None:
    assert await desk.identities.account("ada", described(identity)) == Account()
    with pytest.raises(BadRequest, match="needs no account"):
        await desk.identities.register("ada", described(identity), "al01", "ada")


async def test_a_key_is_made_shown_installed_and_proven_by_a_login(desk: Desk) -> None:
    where = described("key")
    with pytest.raises(BadRequest, match="register"):
        await desk.identities.account("ada", where)
    identity = await desk.identities.register("ada", where, "al01", "ada")
    assert identity.public_key.startswith("ssh-ed25519 ") and "PRIVATE" not in str(identity.view())
    (file,) = (desk.folder / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and "PRIVATE KEY" in file.read_text()
    assert file.name not in str(identity.view())
    with pytest.raises(BadRequest, match="does not work yet"):
        await desk.identities.account("ada", where)

    def not_installed(request: object) -> None:
        raise LinkError(LinkProblem.LOGIN, "permission denied")

    desk.simulated.fail = not_installed
    assert "permission denied" in (await desk.identities.check(identity, where, desk.simulated)).problem
    desk.simulated.fail = lambda request: None
    checked = await desk.identities.check(identity, where, desk.simulated)
    assert checked.checked and not checked.problem
    assert await desk.identities.account("ada", where) == Account(name="al01", key_file=str(file))
    with pytest.raises(BadRequest):
        await desk.identities.account("bob", where)
    assert await desk.identities.remove("ada", "alpha") and not await desk.identities.remove("ada", "alpha")


@pytest.mark.parametrize("account", ["root", "-x", "a b", "al01\n", "../x", "$(id)", "a" * 65, ""])
async def test_what_can_be_no_account_is_refused(desk: Desk, account: str) -> None:
    for identity in ("key", "sudo"):
        with pytest.raises(BadRequest):
            await desk.identities.register("ada", described(identity), account, "op")


async def test_sudo_runs_as_whom_an_operator_or_the_file_names(desk: Desk) -> None:
    where = described("sudo")
    with pytest.raises(BadRequest, match="register"):
        await desk.identities.account("ada", where)
    await desk.identities.register("ada", where, "al01", "op")
    assert await desk.identities.account("ada", where) == Account(run_as="al01")
    file = desk.folder / "identities.toml"
    file.write_text('[alpha]\nada = "ada2"\nmallory = "root"\n')
    desk.identities.file = file
    assert await desk.identities.account("ada", where) == Account(run_as="ada2")
    with pytest.raises(BadRequest, match="do not run under"):
        await desk.identities.account("mallory", where)


async def test_each_persons_session_runs_under_their_own_account(tmp_path: Path) -> None:
    scheduler = {"system": "slurm", "sees_all": False}
    where = described("sudo").model_dump(mode="json", exclude_defaults=True) | {"scheduler": scheduler}
    simulated = SimulatedCentre(Centre.model_validate(where))
    simulated.auto = True
    gateway = Gateway(tmp_path, simulated)
    await gateway.start()
    identities = gateway.broker.parts.identities
    for owner, account in (("ada", "al01"), ("bob", "bo02")):
        await identities.register(owner, simulated.described, account, "op")
        record = await gateway.open(owner)
        await gateway.at(record.id, Stage.READY)
    assert sorted(job.user for job in simulated.live()) == ["al01", "bo02"]
    for record in await gateway.broker.sessions.listing(live=True):
        await gateway.broker.ask_to_stop(record, record.owner)
    await until(lambda: not simulated.live())
    await gateway.stop()
