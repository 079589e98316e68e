"""The demo's people sign in with their own password, and with no other."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from perijove.hub.people import NAMES, DemoAuthenticator, passwords, people_file


async def test_the_right_password_and_no_other_lets_a_person_in(tmp_path: Path) -> None:
    known = passwords(tmp_path)
    assert set(known) == set(NAMES)
    assert len(set(known.values())) == len(NAMES)
    door = DemoAuthenticator(people_file=str(people_file(tmp_path)))
    assert await door.authenticate(None, {"username": "Alice", "password": known["alice"]}) == "alice"
    for name, password in (("alice", known["bob"]), ("alice", ""), ("mallory", ""), ("", ""), ("alice", "é")):
        assert await door.authenticate(None, {"username": name, "password": password}) is None


def test_passwords_stay_from_start_to_start_and_others_cannot_read_them(tmp_path: Path) -> None:
    first = passwords(tmp_path)
    assert passwords(tmp_path) == first
    assert stat.S_IMODE(people_file(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", NAMES)
def test_a_password_has_words_that_can_be_typed(tmp_path: Path, name: str) -> None:
    assert passwords(tmp_path)[name].isascii()
    assert len(passwords(tmp_path)[name]) >= 14
