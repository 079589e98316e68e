"""JupyterLab's Dask sidebar in a session of the real demo: a cluster is made, listed, and looked into in a pane."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from harness.browsing import START

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_dask_sidebar_makes_a_cluster_and_shows_its_plots(demo: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(f"{demo.url}/hub/login")
    page = visitor.page
    demo.sign_in(page, "alice")
    page.goto(f"{demo.url}/services/perijove/start?centre=zhengzhou&cores=1&memory=2048&walltime=1800")
    page.locator('button[value="start"]').click()
    page.wait_for_url("**/user/alice/lab**", timeout=START)
    # A workspace of its own, for JupyterLab remembers what was open; and empty.
    page.goto(f"{demo.url}/user/alice/lab/workspaces/dask-sidebar?reset")
    # What is clicked before JupyterLab has laid itself out is undone.
    page.locator(".jp-Launcher").wait_for(timeout=START)
    page.get_by_role("button", name="Zhengzhou (demo)").wait_for(timeout=START)
    sidebar = page.locator(".dask-DaskSidebar")
    if not sidebar.is_visible():
        page.get_by_role("tab", name=re.compile("Dask")).first.click()
    sidebar.wait_for()
    sidebar.get_by_text("NEW", exact=True).click()
    listed = sidebar.locator(".dask-ClusterListingItem")
    listed.wait_for(timeout=START)
    link = "/user/alice/perijove/clusters/dask-1/dashboard/status"
    assert listed.get_by_role("link").get_attribute("href") == link
    listed.locator(".dask-ClusterListingItem-title").click()
    # The sidebar finds the plots at the session's server, and a pane is a page of the cluster's own.
    sidebar.locator(".dask-DashboardListing-item", has_text=re.compile("^Task Stream$", re.IGNORECASE)).get_by_role(
        "button", disabled=False
    ).click(timeout=START)
    page.frame_locator("iframe").first.locator(".bk-Figure canvas").first.wait_for(timeout=START)
    (frame,) = [one for one in page.frames if "/perijove/clusters/" in one.url]
    assert frame.url.startswith(f"{demo.url}/user/alice/perijove/clusters/dask-1/dashboard/individual-task-stream")
    visitor.shot("dask-sidebar")
    assert not visitor.foreign
