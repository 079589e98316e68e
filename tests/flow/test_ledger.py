"""Money from the command line, on a whole gateway: a session is paid for, and its centre's own records say the same."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
SMALL = {"centre": "zhengzhou", "cores": 2, "memory": "1G", "walltime": "20m"}


async def perijove(flow: Any, *words: str) -> Any:
    """What a command says, as JSON."""
    options = ["--url", flow.settings.broker_api_url, "--token-file", str(flow.settings.state_dir / "broker.token")]
    argv = [sys.executable, "-m", "perijove.hub.cli", *words, "--json", *options]
    process = await asyncio.create_subprocess_exec(*argv, stdout=-1, stderr=-1)
    out, err = await process.communicate()
    assert process.returncode == 0, (words, out.decode(), err.decode())
    return json.loads(out)


async def test_a_session_is_paid_for_and_its_centre_says_the_same(flow: Any) -> None:
    await flow.person("alice")
    assert (await flow.hub("POST", "/users/alice/servers/paid", json=SMALL)).status_code in (201, 202)
    session = await flow.reach("alice", "paid", "ready")
    assert session["money"]["held"] > 0 and session["money"]["hourly"] > 0
    await flow.broker("DELETE", f"/sessions/{session['id']}")
    await flow.reach("alice", "paid", "ended")

    (used,) = await perijove(flow, "usage", "--by", "centre", "--owner", "alice")
    budget = await perijove(flow, "projects", "show", "person:alice")
    assert (used["key"], used["jobs"]) == ("zhengzhou", 1) and used["charged"] > 0
    assert (budget["spent"], budget["held"]) == (used["charged"], 0)
    assert budget["available"] == budget["granted"] - used["charged"]

    day = datetime.now(UTC).date().isoformat()
    report = await perijove(flow, "reconcile", "run", "zhengzhou", "--day", day)
    assert (report["state"], report["differences"], report["jobs_ours"], report["jobs_theirs"]) == ("sound", [], 1, 1)
    assert report in await perijove(flow, "reconcile", "list", "zhengzhou")


async def test_an_operator_makes_a_project_and_gives_it_money(flow: Any) -> None:
    await perijove(flow, "projects", "create", "sea", "--title", "The sea", "--manager", "ada")
    given = await perijove(flow, "grants", "give", "project:sea", "12.5", "--key", "first")
    assert await perijove(flow, "grants", "give", "project:sea", "12.5", "--key", "first") == given
    assert given["amount"] == 12_500_000
    await perijove(flow, "projects", "add", "sea", "bob", "--limit", "5")
    shown = await perijove(flow, "projects", "show", "project:sea")
    assert {m["person"]: (m["role"], m["limit"]) for m in shown["members"]} == {
        "ada": ("manager", None),
        "bob": ("member", 5_000_000),
    }
    assert shown["available"] == 12_500_000
    left = await perijove(flow, "grants", "withdraw", "project:sea", str(given["id"]))
    assert left["left"] == 12_500_000 and left["budget"]["available"] == 0


async def test_every_queue_has_a_version_of_its_price(flow: Any) -> None:
    found = await perijove(flow, "prices")
    assert len({one["centre"] for one in found}) == 9 and all(one["now"] for one in found)
