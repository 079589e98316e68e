"""Whose token goes where."""

from __future__ import annotations

import pytest
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.way import Way

INSIDE = {
    "PERIJOVE_SESSION": "abcdefghijklm",
    "PERIJOVE_GATEWAY": "http://127.0.0.1:4000",
    "PERIJOVE_API": "/services/perijove/api/v1",
    "JUPYTERHUB_API_TOKEN": "token-of-the-session",
    "JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example.org/hub/",
}


@pytest.mark.parametrize("gateway", ["", "http://127.0.0.1:4000", "https://hub.example.org"])
def test_a_sessions_token_goes_to_its_own_gateway(gateway: str) -> None:
    assert Way.find(gateway, "", INSIDE).token == "token-of-the-session"


def test_a_sessions_token_goes_to_no_other_gateway_that_somebody_names() -> None:
    with pytest.raises(ClusterError) as caught:
        Way.find("https://elsewhere.example.net", "", INSIDE)
    assert caught.value.code == "no-token"
    assert Way.find("https://elsewhere.example.net", "given", INSIDE).token == "given"


def test_a_laptops_token_goes_where_the_laptop_says() -> None:
    assert Way.find("https://hub.example.org", "", {"JUPYTERHUB_API_TOKEN": "mine"}).token == "mine"
