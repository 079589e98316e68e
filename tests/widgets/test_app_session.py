"""A session of kind `app`: where its app comes from, what its page is made of, and what the form is told."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from doubles.run_broker import RunBroker
from harness.app_session import AppServer
from perijove.widgets.apppage import Seats
from perijove.widgets.appserver import NoApp, folder_of, options
from perijove.widgets.ownfiles import NotYours, listing
from perijove.widgets.packed import Packed

TOP = Path(__file__).parent.parent.parent


def page(server: AppServer) -> str:
    answer = server.ask("GET", "voila/render/app.ipynb")
    assert answer.status_code == 200
    return answer.text


def test_the_app_is_the_brokers_bundle_and_the_broker_hears_what_is_here(
    app_session: AppServer, app_broker: RunBroker
) -> None:
    said = app_session.ask("GET", "perijove/app").json()
    assert said["app"]["digest"] == app_broker.app.digest
    assert (app_session.home / ".perijove/apps" / app_broker.app.digest / "pipeline.py").is_file()
    app_session.until("perijove/app", lambda found: found["found"])
    app_session.until("perijove/app", lambda _found: app_broker.places)
    assert app_broker.places["guangzhou"]["way"] == "python"
    assert [one["name"] for one in said["app"]["inputs"]][:2] == ["rate", "years"]
    assert said["centre"]["zh"] == "广州"


def test_the_page_names_its_language_its_question_and_nothing_from_outside(app_session: AppServer) -> None:
    html = page(app_session)
    assert '<html lang="en">' in html
    assert "<title>How does a colony grow?</title>" in html
    assert 'class="pja-Skip" href="#app"' in html
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(addresses) > 10
    assert all(address.startswith(("/user/alice/tiny/", "#", "data:")) for address in addresses)
    assert not re.search(r"https?://(?!127\.0\.0\.1)", html.replace("http://www.w3.org", ""))
    assert "show()" not in html  # no source


def test_its_files_are_packed_and_kept_for_good(app_session: AppServer) -> None:
    script = re.findall(r'src="([^"]+page\.js)"', page(app_session))[0]
    address = app_session.address.partition("/user")[0] + script
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.get(address)
        plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Content-Encoding" not in plain.headers
    assert plain.text == answer.text == (TOP / "widgets/app/ui/page.js").read_text()


def test_faults_are_said_in_words_before_anything_runs(app_session: AppServer) -> None:
    inputs = {"rate": 9, "window": [30, 10], "typo": 1}
    bad = app_session.ask("POST", "perijove/app/estimate", json={"inputs": inputs}).json()
    assert {one["field"] for one in bad["faults"]} == {"rate", "window", "typo"}
    assert "at most 4" in next(one["message"] for one in bad["faults"] if one["field"] == "rate")
    good = app_session.ask("POST", "perijove/app/estimate", json={"inputs": {"years": 1000}}).json()
    assert not good["faults"]
    assert good["needs"]["seconds"] == 4.0
    assert good["small"]
    answer = app_session.ask("POST", "perijove/runs", json={"inputs": {"rate": "much"}})
    assert answer.status_code == 400
    assert answer.json()["faults"][0]["field"] == "rate"


def test_the_person_sees_their_own_files_and_none_elsewhere(app_session: AppServer) -> None:
    found = app_session.ask("GET", "perijove/files?path=work&formats=csv,txt").json()
    assert [one["path"] for one in found["files"]] == ["work/a b.csv"]
    for path in ("..", "/etc", "work/../..", "nowhere", "work/a b.csv"):
        assert app_session.ask("GET", "perijove/files", params={"path": path}).status_code == 404, path


def test_links_out_of_the_home_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    (other / "x.nc").write_text("x")
    (home / "out").symlink_to(other)
    (home / "file.nc").symlink_to(other / "x.nc")
    (home / "own.nc").write_text("x")
    (home / "in.nc").symlink_to(home / "own.nc")
    (home / ".hidden.nc").write_text("x")
    (home / "$(id) 'a'.nc").write_text("x")
    monkeypatch.setenv("HOME", str(home))
    found = listing("", ("nc",))
    assert [one["name"] for one in found["files"]] == ["$(id) 'a'.nc", "in.nc", "own.nc"]
    assert found["folders"] == []
    with pytest.raises(NotYours):
        listing("out")
    # But for the person's own room for large files, which centres link into the home.
    found = listing("", ("nc",), str(other))
    assert found["folders"] == ["out"]
    assert "file.nc" in [one["name"] for one in found["files"]]
    assert [one["path"] for one in listing("out", ("nc",), str(other))["files"]] == ["out/x.nc"]


async def test_without_a_gateway_the_installed_app_is_taken_and_without_one_it_is_said(
    monkeypatch: pytest.MonkeyPatch, app_broker: RunBroker
) -> None:
    monkeypatch.setattr("perijove.widgets.appserver._installed", lambda: [TOP / "tests/doubles/apps"])
    assert await folder_of("tiny", app_broker.facts(), None) == TOP / "tests/doubles/apps/tiny"
    with pytest.raises(NoApp, match="'nothing' cannot be had"):
        await folder_of("nothing", app_broker.facts(), None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"app": ""}', '{"app": "../x"}', '{"app": "a/b"}', "no json"])
def test_options_without_an_app_are_said(text: str) -> None:
    with pytest.raises(NoApp):
        options(text)


def test_people_wait_in_the_order_in_which_they_came() -> None:
    seats = Seats(2)
    assert seats.ahead("a", 1) == 0
    assert [seats.ahead(one, 0) for one in "abc"] == [1, 2, 3]
    # A new one without a ticket does not go in before those who wait.
    assert seats.ahead("", 1) == 3
    assert [seats.ahead(one, 1) for one in "cab"] == [2, 0, 1]
    seats.done("a")
    assert [seats.ahead(one, 1) for one in "bc"] == [0, 1]


def test_packed_files_are_below_their_folders_and_among_those_that_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "secret.js").write_text("x")
    for name in ("good/a.js", "bad/a.js", "good/b.weird"):
        (tmp_path / name).write_text("x" * 2000)
    files = Packed([tmp_path], ("good/",))
    content, packed, kind = files.get("good/a.js") or (b"", False, "")
    assert (gzip.decompress(content), packed, kind) == (b"x" * 2000, True, "text/javascript")
    wrong = ("bad/a.js", "good/../secret.js", "good//a.js", "/etc/passwd", "good/b.weird", "good/c.js", "good")
    for name in (*wrong, "good/.a.js"):
        assert files.get(name) is None, name


def test_the_colours_are_those_of_the_gateway() -> None:
    """One set of colours: `hub/pages/static/perijove.css` has it, and an app's page a copy."""

    def colours(path: str) -> list[dict[str, str]]:
        css = (TOP / path).read_text()
        blocks = re.findall(r"\{([^{}]*--pj-paper:[^{}]*)\}", css)
        return [dict(re.findall(r"(--pj-[\w-]+): *(#[0-9a-f]+)", block)) for block in blocks]

    ours, theirs = colours("widgets/app/ui/app.css"), colours("hub/pages/static/perijove.css")
    assert len(theirs) == 2
    assert ours == theirs
