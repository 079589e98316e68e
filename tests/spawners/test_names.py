"""Names always fit and never collide; untrusted text is shown as it is, in one line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perijove.spawners.centre import parse
from perijove.spawners.names import account_fault, oauth_client_id, safe_slug, server_key
from perijove.spawners.visible import visible

LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
#: Names with the characters that make collisions.
NAMES = st.text(alphabet="ab-1A. /\u00e9", max_size=8) | st.text()


def test_a_person_and_another_persons_server_never_collide() -> None:
    pairs = [("alice-prod", ""), ("alice", "prod"), ("alice--prod", ""), ("alice-", "prod"), ("alice", "-prod")]
    for name in (server_key, oauth_client_id):
        assert len({name(*pair) for pair in pairs}) == len(pairs)
    assert server_key("alice", "prod").startswith("alice--prod---")


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES), st.integers(26, 63))
def test_keys_of_any_two_servers_differ_and_are_labels(one: tuple[str, str], two: tuple[str, str], length: int) -> None:
    keys = [server_key(*pair, length=length) for pair in (one, two)]
    assert (keys[0] == keys[1]) == (one == two)
    assert all(LABEL.fullmatch(key) and len(key) <= length for key in keys)


@given(NAMES, NAMES, st.integers(20, 63))
def test_slugs_of_any_two_texts_differ_and_are_labels(one: str, two: str, length: int) -> None:
    slugs = [safe_slug(text, length) for text in (one, two)]
    assert (slugs[0] == slugs[1]) == (one == two)
    assert all(LABEL.fullmatch(slug) and len(slug) <= length for slug in slugs)


def test_a_slug_of_a_slug_is_not_another_texts_slug() -> None:
    made = safe_slug("Alice B")
    assert made != "Alice B"
    assert safe_slug(made) != made, "a text that looks like a digest gets a digest of its own"
    assert safe_slug("alice") == "alice"


def test_names_of_a_megabyte_and_lone_surrogates_have_keys() -> None:
    assert len(server_key("x" * 1_000_000, "\ud800")) <= 48
    assert server_key("x" * 1_000_000) != server_key("x" * 1_000_001)
    with pytest.raises(ValueError, match="length"):
        safe_slug("a", 5)


@given(st.text(), st.integers(1, 60))
def test_what_is_shown_is_one_printable_line_of_bounded_length(text: str, limit: int) -> None:
    shown = visible(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit + 30
    if text.isascii() and text.isprintable() and len(text) <= limit:
        assert shown == text


def test_what_cannot_be_seen_is_made_visible() -> None:
    assert visible("a\u202eb\x1b[2J\u200b\n\xa0") == "a\\u{202e}b\\x1b[2J\\u{200b}\\n\\xa0"
    assert visible("国家超级计算天津中心") == "国家超级计算天津中心"
    assert visible("x" * 1_000_000, 5) == "xxxxx… (1,000,000 characters)"
    assert visible("e" + "\u0301" * 9).count("\\u{301}") == 7
    assert visible({"a": [1] * 10**6}) == "a table of 1 keys"
    assert visible(10**5000) == "a number of more than 40 digits"


def test_an_account_name_is_held_against_the_centres_rule() -> None:
    centre = parse(
        {
            "id": "here",
            "name": {"en": "Here", "zh": "这里"},
            "scheduler": {"system": "local"},
            "login": {"accounts": "[a-z]{2,8}"},
            "environment": {"python": "/usr/bin/python3"},
            "queues": [{"name": "a", "cores": 1, "memory": 64}],
        }
    )
    assert account_fault(centre, "alice") == ""
    for name in ("", None, "a", "Alice", "alice\n", "alice\u202e", "x" * 10**6, "root", "-oProxy", "../x", 5):
        assert account_fault(centre, name), name
