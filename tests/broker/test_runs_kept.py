"""Files of runs by the API: kept copies are bounded and safe for a browser; the rest comes from the centre."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator

import pytest
from broker.runapi import RunApi, api, app_kind, runs
from broker.runworld import Runs, report
from broker.simulated import centre as described
from perijove.hub.broker.files import Facts, FileTrouble, Place
from perijove.hub.broker.runfiles import MOST_FILE
from perijove.spawners.link import Account

__all__ = ["api", "app_kind", "runs"]
HOSTILE = [
    "..%2f..%2fx",
    "%2e%2e/x",
    "a//b",
    "a%5cb",
    "a%00b",
    "a%0ab",
    "%2e/x",
    "x" * 301,
    "a/%2e%2e/b",
    "%2fetc/passwd",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_file_name_is_no_file(api: RunApi, name: str) -> None:
    run = (await api.done())["id"]
    assert (await api("PUT", f"/runs/{run}/files/{name}", content=b"x")).status_code in (400, 404, 405)
    assert (await api("GET", f"/runs/{run}/files/{name}")).status_code in (404, 405)


@pytest.mark.parametrize(
    ("name", "media", "shown"),
    [
        ("a b'$(x).png", "image/png", "inline"),
        ("图.svg", "image/svg+xml", "inline"),
        ("page.html", "application/octet-stream", "attachment"),
        ("x.xhtml", "application/octet-stream", "attachment"),
        ("t.CSV", "text/csv; charset=utf-8", "inline"),
        ("noending", "application/octet-stream", "attachment"),
    ],
)
async def test_a_kept_file_is_typed_by_its_name_and_sandboxed(api: RunApi, name: str, media: str, shown: str) -> None:
    run = (await api.done())["id"]
    html = {"Content-Type": "text/html", "Authorization": "token t-ada"}
    where = f"/services/perijove/api/v1/runs/{run}/files/figures/{name}"
    assert (await api.client.put(where, content=b"<script>", headers=html)).status_code == 200
    answer = await api.client.get(where, headers=html)
    assert answer.content == b"<script>" and answer.headers["content-type"] == media
    assert answer.headers["content-disposition"].startswith(shown) and '"' in answer.headers["content-disposition"]
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await api.ok("GET", f"/runs/{run}"))["kept"][0]["bytes"] == 8


async def test_files_are_bounded_and_the_oldest_runs_give_way(runs: Runs, api: RunApi) -> None:
    first, second = (await api.done())["id"], (await api.done())["id"]
    big = b"x" * MOST_FILE
    assert (await api("PUT", f"/runs/{first}/files/a", content=big + b"x")).status_code == 413
    await api.ok("PUT", f"/runs/{first}/files/a", content=big)
    assert (await api("PUT", f"/runs/{first}/report", content=big)).status_code == 413, "only files may be large"
    runs.desk.files.most = 2 * MOST_FILE
    await api.ok("PUT", f"/runs/{second}/files/a", content=big)
    await api.ok("PUT", f"/runs/{second}/files/a", content=big)
    assert len((await api.ok("GET", f"/runs/{first}"))["kept"]) == 1, "the same file again takes no more room"
    await api.ok("PUT", f"/runs/{second}/files/b", content=b"x")
    assert (await api.ok("GET", f"/runs/{first}"))["kept"] == []
    assert [one["file"] for one in (await api.ok("GET", f"/runs/{second}"))["kept"]] == ["a", "b"]


class AtCentre:
    """Files of a person at a centre, read whole."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    async def place(self, owner: str, centre: str, *, ours: bool) -> Place:
        assert owner == "ada" and ours
        return Place(described(centre), Account())

    async def look(self, place: Place, path: str) -> Facts:
        self.asked.append(path)
        if path not in self.files:
            raise FileTrouble("no-file", "there is no such file", 404)
        return Facts(len(self.files[path]), 0.0)

    async def stream(self, place: Place, path: str, facts: Facts) -> AsyncIterator[bytes]:
        for byte in self.files[path]:
            yield bytes([byte])


async def test_all_that_is_kept_is_downloaded_as_one_archive(runs: Runs, api: RunApi) -> None:
    run = (await api.done())["id"]
    content = {"f.png": b"\x89PNG", "tables/t.csv": b"a,b\n" * 200_000}
    runs.gateway.broker.files = AtCentre({})  # type: ignore[assignment]
    for name, data in content.items():
        await api.ok("PUT", f"/runs/{run}/files/{name}", content=data)
    answer = await api("GET", f"/runs/{run}/download")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    found = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    assert found.pop("not-included.txt").startswith(b"t.csv: "), "its report names a file that cannot be had"
    assert found == content
    assert archive.testzip() is None and answer.headers["content-disposition"].startswith("attachment")


async def test_what_is_not_kept_comes_from_the_runs_own_folder(runs: Runs, api: RunApi) -> None:
    run = (await api.done(request={"centre": "alpha"}))["id"]
    base = described("alpha").paths.base
    files = AtCentre({f"{base}/runs/{run}/results/t.csv": b"a,b", f"{base}/runs/{run}/results/other": b"x"})
    runs.gateway.broker.files = files  # type: ignore[assignment]
    assert (await api("GET", f"/runs/{run}/files/t.csv")).content == b"a,b"
    assert (await api("GET", f"/runs/{run}/files/f.png")).json()["error"] == "no-file"
    asked = list(files.asked)
    for name in ("other", "../../x", "..%2f..%2fx"):
        assert (await api("GET", f"/runs/{run}/files/{name}")).status_code == 404
    assert files.asked == asked, "only what its report names is asked for"
    said = {"report": report("done"), "folder": "/home/bob/.perijove/runs/his"}
    await api.ok("PUT", f"/runs/{run}/report", json=said)
    archive = zipfile.ZipFile(io.BytesIO((await api("GET", f"/runs/{run}/download")).content))
    assert archive.read(f"sums-{run}/t.csv") == b"a,b"
    assert all(path.startswith(f"{base}/runs/{run}/") for path in files.asked), "wherever it is said to be"
