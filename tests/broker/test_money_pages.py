"""The pages of money over the real broker and its books: what people read is what the ledger says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio
from broker.callers import PEOPLE, Api
from broker.harness import Gateway, until
from broker.test_ledger import HOUR, priced, ran_for
from perijove.hub.pages.config import PagesConfig
from perijove.hub.pages.install import install_site
from perijove.hub.pages.people import COOKIE
from perijove.spawners.session import Stage

OPTIONS = {"centre": "alpha", "cores": 2, "memory": "1G", "walltime": "1h"}


class Visitors:
    """Browsers of people who are signed in."""

    def __init__(self, api: Api) -> None:
        def hub(request: httpx.Request) -> httpx.Response:
            model = PEOPLE.get(request.headers["Authorization"].removeprefix("token "))
            return httpx.Response(200, json=model) if model else httpx.Response(403, json={})

        config = PagesConfig("http://hub.test/hub/api", "secret", b"s" * 32)
        self.site = install_site(api.app, config, lambda: httpx.AsyncClient(transport=httpx.MockTransport(hub)))
        self.api = api

    def browser(self, name: str) -> httpx.AsyncClient:
        """The browser of a person."""
        transport = httpx.ASGITransport(self.api.app)
        client = httpx.AsyncClient(transport=transport, base_url="http://gateway.test/services/perijove/")
        client.cookies.set(COOKIE, self.site.signer.sign(COOKIE, {"token": f"t-{name}"}))
        return client

    async def send(self, name: str, where: str, **fields: str) -> httpx.Response:
        """A form that a person sends."""
        async with self.browser(name) as client:
            return await client.post(where, data={"_xsrf": self.site.signer.xsrf(f"t-{name}"), **fields})

    async def read(self, name: str, where: str, **query: str) -> str:
        """What a person reads on a page."""
        async with self.browser(name) as client:
            answer = await client.get(where, params=query)
        assert answer.status_code == 200, answer.text
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text))


@pytest_asyncio.fixture
async def visitors(gateway: Gateway) -> AsyncIterator[Visitors]:
    priced(gateway)
    broker = await gateway.start()
    gateway.centre.auto = True
    await until(lambda: all(keeper.held for keeper in broker.keepers.values()))
    api = Api(gateway)
    yield Visitors(api)
    await api.client.aclose()


async def test_a_person_reads_what_the_books_say(gateway: Gateway, visitors: Visitors) -> None:
    assert "You have 1,000.00 credits." in await visitors.read("ada", "budget")
    answer: Any = await visitors.api("POST", "/sessions", json={"options": OPTIONS})
    record = await gateway.at(answer.json()["id"], Stage.READY)
    text = await visitors.read("ada", "budget")
    assert "You have 998.00 credits." in text
    assert "Another 2.00 are on hold" in text
    assert "2.00 an hour" in text
    assert "credits so far" in await visitors.read("ada", "")
    await ran_for(gateway, record, HOUR / 2)
    text = await visitors.read("ada", "budget")
    assert "You have 999.00 credits." in text
    assert "−1.00" in text
    assert "1 core hours" in text
    assert "Nothing was spent" not in text
    assert "Put on hold for a session" in await visitors.read("ada", "budget", all="1")
    assert "Cost 1.00 credits" in await visitors.read("ada", f"sessions/{record.id}")


async def test_an_operator_grants_and_a_manager_shares_it(gateway: Gateway, visitors: Visitors) -> None:
    money = "operator/money"
    assert "None yet." in await visitors.read("root", money)
    assert (await visitors.send("root", f"{money}/projects", slug="sea", title="The sea", manager="ada")).is_redirect
    again = await visitors.send("root", f"{money}/projects", slug="sea", title="The sea", manager="ada")
    assert "There is a project of this name already." in again.text
    assert (await visitors.send("root", f"{money}/grants", budget="project:sea", amount="1.5", note="x")).is_redirect
    assert "1.50 credits can be spent." in await visitors.read("ada", "budget/projects/sea")
    members = "budget/projects/sea/members"
    assert (await visitors.send("ada", members, do="add", person="bob", role="member", limit="1")).is_redirect
    assert "at most 1.00 credits" in await visitors.read("bob", "budget/projects/sea")
    last = await visitors.send("ada", members, do="remove", person="ada")
    assert "is the last manager" in last.text
    limit = {"do": "limit", "person": "", "centre": "alpha", "limit": "3"}
    assert (await visitors.send("ada", members, **limit)).is_redirect
    assert "3.00 credits" in await visitors.read("ada", "budget/projects/sea")
    place = {"cores": "2", "memory": "1G", "walltime": "1h", "budget": "project:sea"}
    assert "0.50 credits are missing" in await visitors.read("ada", "start", centre="alpha", **place)
    queue = next(iter(gateway.broker.parts.centres["alpha"].queues)).name
    started = await visitors.send("ada", "start", place=f"alpha/{queue}", action="start", **place)
    assert started.status_code == 400
    assert "This may cost up to 2.00 credits" in started.text
    assert "1 for money" in await visitors.read("root", money)


async def test_the_operators_page_shows_what_is_owed(gateway: Gateway, visitors: Visitors) -> None:
    answer: Any = await visitors.api("POST", "/sessions", json={"options": OPTIONS})
    await ran_for(gateway, await gateway.at(answer.json()["id"], Stage.READY), HOUR)
    page = await visitors.read("root", "operator/money")
    assert "2.00 credits" in page
    assert "Supply and demand" in page
    async with visitors.browser("ada") as ada:
        assert (await ada.get("operator/money")).status_code == 403
        assert (await ada.get("budget/people/bob")).status_code == 404
