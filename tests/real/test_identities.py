"""Whose account a session runs under, seen from inside: a person's own key, the launcher as a person, one's own.

The gateway's real way from the page to the kernel; alpha wants a key per person, gamma lets the gateway's account run
the launcher as people, beta is used as the account that the gateway itself has there.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from harness.basics import eventually
from harness.centres import gateway_of, jobs, no_job
from harness.flow import Flow
from harness.kernel import Kernel
from harness.neighbour import SCAN
from perijove.spawners.centre import Identity
from perijove.testbed import Testbed
from perijove.testbed.plan import GATEWAY

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
IDENTITIES: dict[str, Identity] = {"alpha": "key", "beta": "self", "gamma": "sudo"}
KEYS = "/services/perijove/keys"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flow]:
    """A gateway that reaches each centre in another way; an operator has written down who is who at gamma."""
    state = tmp_path_factory.mktemp("identities") / "state"
    async with gateway_of(testbed, state, IDENTITIES, identities_file=testbed.state.identities) as flow:
        yield flow


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(site: Flow) -> httpx.AsyncClient:
    return await site.person("alice")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bob(site: Flow) -> httpx.AsyncClient:
    return await site.person("bob")


async def ask(site: Flow, owner: str, server: str, centre: str) -> httpx.Response:
    """Asks for a session through the person's door."""
    options = {"centre": centre, "cores": 1, "memory": "1G", "walltime": "20m"}
    return await site.broker("POST", "/sessions", json={"owner": owner, "server": server, "options": options})


async def submit_form(person: httpx.AsyncClient, address: str, **fields: str) -> str:
    """Sends a form of the page of keys, as a browser does; the page that follows."""
    page = await person.get(KEYS)
    xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
    assert xsrf, page.text
    answer = await person.post(f"{KEYS}/{address}", data={"_xsrf": xsrf[1], **fields})
    assert answer.status_code == 200, answer.text
    return answer.text


async def registered(person: httpx.AsyncClient, centre: str, account: str) -> str:
    """Registers an account on the page; the public key that the page then shows."""
    page = await submit_form(person, centre, account=account)
    shown = re.search(r"(ssh-ed25519 [^<]+)</pre>", page)
    assert shown, page
    return html.unescape(shown[1]).strip()


def owner_of(testbed: Testbed, session: dict[str, Any]) -> str:
    """Whose job it is, as the batch system says."""
    if session["centre"] == "gamma":
        listed = testbed.exec("gamma", "login", ["qstat", "-j", session["job_id"]]).stdout
        return next(line.split()[1] for line in listed.splitlines() if line.startswith("owner:"))
    squeue = "yhqueue" if session["centre"] == "beta" else "squeue"
    words = [squeue, "-h", "-j", session["job_id"], "-o", "%u"]
    return testbed.exec(session["centre"], "ctl", words).stdout.strip()


async def runs_as(
    site: Flow, testbed: Testbed, person: httpx.AsyncClient, owner: str, centre: str, account: str
) -> tuple[dict[str, Any], str]:
    """A session of `owner` that is in use and belongs to `account` all through; the session, and its token."""
    answer = await ask(site, owner, centre, centre)
    assert answer.status_code == 201, answer.text
    session = await site.reach(owner, centre, "ready", 120)
    assert jobs(testbed, session) == [session["job_id"]]
    assert owner_of(testbed, session) == account
    await site.usable(person, owner, centre)
    kernel = await Kernel.open(person, f"/user/{owner}/{centre}", site.stack)
    told = await kernel.run("import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name, os.environ['HOME'])")
    assert told.split() == [account, f"/home/{account}"]
    token = (await kernel.run("print(os.environ['JUPYTERHUB_API_TOKEN'])")).strip()
    assert len(token) >= 32
    return session, token


async def end(site: Flow, testbed: Testbed, session: dict[str, Any]) -> None:
    """Stops it, as its account."""
    await site.broker("DELETE", f"/sessions/{session['id']}")
    ended = await site.reach(session["owner"], session["server"], "ended", 90)
    assert ended["outcome"] in ("stopped", "cancelled", "completed"), ended
    await no_job(testbed, session)


async def nothing_for_bob(testbed: Testbed, bob: httpx.AsyncClient, session: dict[str, Any], token: str) -> None:
    """bob, on the same node and at the gateway, gets neither into the session nor at its token."""
    address = f"/user/{session['owner']}/{session['server']}/api/contents"
    assert (await bob.get(address)).status_code in (403, 404)
    for node in (session["node"].split(".")[0], f"{session['centre']}-login"):
        words = ["/usr/bin/python3", "-c", SCAN]
        done = await asyncio.to_thread(testbed.exec, session["centre"], node, words, "bob", token, 120)
        seen, *hits = done.stdout.split()
        assert int(seen) > 20
        assert hits == []


async def test_a_key_is_registered_on_the_page_installed_checked_and_used(
    site: Flow, testbed: Testbed, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    account = testbed.account("alpha", "alice")
    refused = await ask(site, "alice", "alpha", "alpha")
    assert refused.status_code == 400 and "no-account" in refused.text
    public = await registered(alice, "alpha", account)
    page = await submit_form(alice, "alpha/check")
    assert "It does not work yet" in page
    refused = await ask(site, "alice", "alpha", "alpha")
    assert refused.status_code == 400 and "account-unchecked" in refused.text
    testbed.install_key("alpha", "alice", public)

    async def works() -> bool:
        """The link pauses after a refused login, so the first answer may be the old one."""
        return "It does not work yet" not in await submit_form(alice, "alpha/check")

    await eventually(works, 20)
    session, token = await runs_as(site, testbed, alice, "alice", "alpha", account)
    await nothing_for_bob(testbed, bob, session, token)
    await end(site, testbed, session)


async def test_who_names_the_account_of_another_gets_nothing(
    site: Flow, testbed: Testbed, bob: httpx.AsyncClient
) -> None:
    account = testbed.account("alpha", "alice")
    public = await registered(bob, "alpha", account)
    assert "It does not work yet" in await submit_form(bob, "alpha/check")
    # Nor does it help to put that key into one's own account: the login then leads elsewhere than was said.
    testbed.install_key("alpha", "bob", public)
    assert "It does not work yet" in await submit_form(bob, "alpha/check")
    refused = await ask(site, "bob", "alpha", "alpha")
    assert refused.status_code == 400 and "account-unchecked" in refused.text


async def test_the_launcher_runs_as_each_person_where_sudo_lets_it(
    site: Flow, testbed: Testbed, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    session, token = await runs_as(site, testbed, alice, "alice", "gamma", testbed.account("gamma", "alice"))
    await nothing_for_bob(testbed, bob, session, token)
    his, _ = await runs_as(site, testbed, bob, "bob", "gamma", testbed.account("gamma", "bob"))
    assert his["job_id"] != session["job_id"]
    await end(site, testbed, his)
    assert (await site.session("alice", "gamma"))["stage"] == "ready"
    await end(site, testbed, session)


async def test_the_gateways_own_account_serves_one_person(
    site: Flow, testbed: Testbed, alice: httpx.AsyncClient
) -> None:
    session, _ = await runs_as(site, testbed, alice, "alice", "beta", GATEWAY)
    await end(site, testbed, session)
