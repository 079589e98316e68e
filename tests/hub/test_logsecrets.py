"""Nothing that opens a shared run is in the hub's log."""

from __future__ import annotations

import logging

import pytest
from perijove.hub.logsecrets import NoLinks, keep_out

TOKEN = "kYv_3-xQ0aZ1bY2cX3dW4eV5fU6gT7hS8iR9jQ0kP1l"


@pytest.mark.parametrize("link", ["/services/perijove/shared/{}", "%2Fservices%2Fperijove%2Fshared%2F{}%2Ffiles%2Fa"])
def test_the_log_of_requests_has_no_link_to_a_shared_run(caplog: pytest.LogCaptureFixture, link: str) -> None:
    log = logging.getLogger("tornado.access")
    keep_out()
    keep_out()
    assert sum(isinstance(one, NoLinks) for one in log.filters) == 1
    with caplog.at_level(logging.INFO, "tornado.access"):
        log.error("%s GET %s", 503, "/hub/error/503?url=" + link.format(TOKEN))
        log.info("%s GET %s", 200, "/hub/home")
    assert TOKEN not in caplog.text and "[secret]" in caplog.text and "503 GET /hub/error/503?url=" in caplog.text
    assert "200 GET /hub/home" in caplog.text
