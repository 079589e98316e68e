"""What the pages show, and that nothing hostile gets into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from perijove.hub.pages import views

FORECAST = {"low": 120, "likely": 600, "high": 1800, "middle": [300, 900], "evidence": "history", "count": 84}
HOSTILE = "<script>alert(1)</script>\" onload='x'"
PAGES = ("", "start", "centres", "keys")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("page", PAGES)
async def test_every_page_opens_in_both_languages(alice: httpx.AsyncClient, world: Any, page: str, lang: str) -> None:
    world.broker.add()
    answer = await alice.get(page, params={"lang": lang})
    assert answer.status_code == 200
    assert f'<html lang="{"en-GB" if lang == "en" else "zh-CN"}">' in answer.text
    assert ("天津超算中心" in answer.text) == (lang == "zh" and page != "keys")


async def test_a_page_allows_nothing_from_elsewhere_and_no_frame(alice: httpx.AsyncClient) -> None:
    policy = (await alice.get("")).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("field", ["raw_reason", "server", "job_id", "node", "centre", "queue", "reason"])
async def test_hostile_words_of_a_centre_stay_words(alice: httpx.AsyncClient, world: Any, field: str) -> None:
    row = world.broker.add(**{field: HOSTILE})
    for page in ("", "live", f"sessions/{row['id']}", f"sessions/{row['id']}/live"):
        text = (await alice.get(page)).text
        assert "<script>alert" not in text
        assert "onload='x'" not in text


async def test_a_failed_session_says_what_happened_and_shows_the_log_as_text(
    alice: httpx.AsyncClient, world: Any
) -> None:
    log = "\n".join(f"line {n}" for n in range(100)) + "\n" + HOSTILE
    row = world.broker.add(stage="ended", outcome="memory", detail=HOSTILE, log_tail=log, ended="2026-11-24T10:00:00Z")
    text = (await alice.get(f"sessions/{row['id']}")).text
    assert "used more memory than it asked for" in text
    assert "Start again with more memory" in text
    assert "line 99" in text
    assert "line 60" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert row["id"] in text
    assert "4711" in text


async def test_a_centre_that_does_not_answer_is_unknown_and_not_gone(alice: httpx.AsyncClient, world: Any) -> None:
    row = world.broker.add(unknown_since="2026-11-24T14:02:00+00:00")
    text = (await alice.get(f"sessions/{row['id']}")).text
    assert "Unknown" in text
    assert 'datetime="2026-11-24T14:02:00+00:00"' in text
    assert "not lost" in text


async def test_a_ready_session_opens_at_its_own_address(alice: httpx.AsyncClient, world: Any) -> None:
    row = world.broker.add(stage="ready", connected=True, server="prod", ends_by="2099-01-01T00:00:00+00:00")
    assert 'href="/hub/user/alice/prod/"' in (await alice.get(f"sessions/{row['id']}")).text
    assert 'data-go="/hub/user/alice/prod/"' in (await alice.get(f"sessions/{row['id']}/live")).text


async def test_waiting_leads_to_the_session_as_soon_as_there_is_one(alice: httpx.AsyncClient, world: Any) -> None:
    before = await alice.get("waiting/alice/prod")
    assert "being prepared" in before.text
    row = world.broker.add(server="prod")
    after = await alice.get("waiting/alice/prod")
    assert after.status_code == 302
    assert after.headers["location"].endswith(f"/sessions/{row['id']}?open")
    default = world.broker.add()
    assert (await alice.get("waiting/alice/")).headers["location"].endswith(f"{default['id']}?open")


async def test_an_unchanged_fragment_is_not_sent_again(alice: httpx.AsyncClient, world: Any) -> None:
    world.broker.add(stage="ended", outcome="completed", ended="2026-11-24T10:00:00Z")
    first = await alice.get("live")
    assert (await alice.get("live", params={"seen": first.headers["X-Mark"]})).status_code == 204


@pytest.mark.parametrize("page", ["live", "sessions/s/live"])
@pytest.mark.parametrize("stage", ["ready", "queued"])
async def test_time_that_passes_is_no_reason_to_send_a_fragment_again(
    alice: httpx.AsyncClient, world: Any, monkeypatch: pytest.MonkeyPatch, page: str, stage: str
) -> None:
    now = datetime.now(UTC)
    ends = (now + timedelta(minutes=50)).isoformat() if stage == "ready" else None
    row = world.broker.add(id="s", stage=stage, connected=True, walltime=3600, ends_by=ends, forecast=FORECAST)
    first = await alice.get(page)

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Later:
            return cls.fromtimestamp(now.timestamp() + 90, tz)

    monkeypatch.setattr(views, "datetime", Later)
    seen = {"seen": first.headers["X-Mark"]}
    assert (await alice.get(page)).text != first.text, "clocks and pictures went on"
    assert (await alice.get(page, params=seen)).status_code == 204
    row["unknown_since"] = now.isoformat()
    assert (await alice.get(page, params=seen)).status_code == 200


async def test_a_session_page_that_waits_has_the_broker_watch(alice: httpx.AsyncClient, world: Any) -> None:
    row = world.broker.add()
    answer = await alice.get(f"sessions/{row['id']}/live", params={"seen": "x", "after": "3"})
    assert answer.headers["X-Last"] == "7"
    assert ("POST", f"/sessions/{row['id']}/watch") in world.broker.calls


@pytest.mark.parametrize(("page", "status"), [("nothing", 404), ("sessions/none", 404), ("static/none.js", 404)])
async def test_an_unknown_address_is_a_page_that_says_so(alice: httpx.AsyncClient, page: str, status: int) -> None:
    assert (await alice.get(page)).status_code == status


async def test_another_persons_session_is_refused(world: Any) -> None:
    row = world.broker.add(owner="bob", job_id="secret-job")
    answer = await world.browser("alice").get(f"sessions/{row['id']}")
    assert answer.status_code == 403
    assert "secret-job" not in answer.text


async def test_the_look_is_the_hubs_own_and_comes_from_here(alice: httpx.AsyncClient) -> None:
    for name in ("hub-static/css/style.min.css", "static/perijove.css", "static/page.js", "static/theme.js"):
        answer = await alice.get(name)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_key_is_shown_to_be_installed_and_checked(alice: httpx.AsyncClient, world: Any) -> None:
    world.broker.identities = [{"centre": "tianjin", "account": "al", "public_key": "ssh-ed25519 AAAA <b>"}]
    text = (await alice.get("keys")).text
    assert "ssh-ed25519 AAAA &lt;b&gt;" in text
    assert "not checked yet" in text
