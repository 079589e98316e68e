"""The page of an app: Voila's rendering of the notebook, by a kernel that was made ready before anybody came.

A kernel that has run the notebook waits with its finished page (`Warm`); who comes takes both, and the next one is made
ready a little later. Nothing of the person or of the address is in it: the page's own script reads both after it is
there, so that a page made ahead is as right as one made now. There are at most `app_kernels` kernels; who comes then
gets a page that says how many are before them, and that goes on by itself (`Seats`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from perijove.widgets.appserver import NOTEBOOK
from perijove.widgets.packed import Packed
from tornado import web

TEMPLATE = "perijove"
#: What of JupyterLab's extensions a page needs: widgets, and ipympl where an author uses it.
EXTENSIONS = (
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "anywidget",
    "jupyter-matplotlib",
)
#: Seconds after a kernel was taken until the next one is made ready: the page that took it needs the cores now.
PAUSE = 3.0
#: Seconds after which somebody who waits and does not ask any more has left; between two questions of the page.
LEFT, ASK = 12.0, 1.5
#: Where the notebook's output begins in the page.
_BODY = '<div id="rendered_cells">'
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class Seats:
    """Who waits for a kernel, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._waiting: OrderedDict[str, float] = OrderedDict()

    def ahead(self, ticket: str, free: int) -> int:
        """How many are before `ticket` until a kernel is free for it; 0: it is its turn. The ticket is seen now."""
        now = time.monotonic()
        for one, seen in list(self._waiting.items()):
            if now - seen > LEFT:
                del self._waiting[one]
        if ticket:
            self._waiting[ticket] = now
            place = list(self._waiting).index(ticket)
        else:
            place = len(self._waiting)
        return 0 if place < free else place - free + 1

    def done(self, ticket: str) -> None:
        """`ticket` has its kernel."""
        self._waiting.pop(ticket, None)


@dataclass(frozen=True, slots=True)
class Ready:
    """A kernel and the page that its notebook made."""

    kernel: str
    html: str


class Warm:
    """Kernels with their pages: at most `most` at once, one of them ahead of time."""

    def __init__(self, server: Any, voila: Any, resources: dict[str, Any], most: int) -> None:
        self._server, self._voila = server, voila
        self._resources = resources
        self._next: asyncio.Task[Ready] | None = None
        self._filling: asyncio.Task[None] | None = None
        self.seats = Seats(most)
        #: The page as far as it needs no kernel; "" until there was one.
        self.head = ""

    @property
    def free(self) -> int:
        """How many more people can have a kernel; the one that waits ready counts as free."""
        ahead = 0 if self._next is None else 1
        return self.seats.most - max(0, len(self._server.kernel_manager.list_kernel_ids()) - ahead)

    def fill(self, pause: float = 0.0) -> None:
        """Make one ready, unless there is one or no room."""
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill(pause))

    async def _fill(self, pause: float) -> None:
        await asyncio.sleep(pause)
        if self._next is None and self.free > 0:
            self._next = asyncio.create_task(self._made())

    async def take(self) -> Ready:
        """The one that is ready, or one that is made now. Raises whatever kept the notebook from running."""
        made, self._next = self._next, None
        if made is not None:
            with suppress(Exception):
                ready = await made
                if ready.kernel in self._server.kernel_manager.list_kernel_ids():
                    self.fill(PAUSE)
                    return ready
        ready = await self._made()
        self.fill(PAUSE)
        return ready

    async def end(self) -> None:
        """Make none any more; the server ends its kernels itself."""
        for task in (self._filling, self._next):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _made(self) -> Ready:
        from voila.notebook_renderer import NotebookRenderer
        from voila.paths import collect_template_paths
        from voila.utils import get_page_config

        server, manager = self._server, self._server.kernel_manager
        settings = server.web_app.settings
        page = get_page_config(server.base_url, settings, server.log, self._voila)
        page |= {"fullMathjaxUrl": "", **self._resources["page_config"]}
        renderer = NotebookRenderer(
            voila_configuration=self._voila,
            traitlet_config=server.config,
            notebook_path=NOTEBOOK,
            template_paths=collect_template_paths(["voila", "nbconvert"], TEMPLATE),
            config_manager=server.config_manager,
            contents_manager=server.contents_manager,
            base_url=server.base_url,
            kernel_spec_manager=server.kernel_spec_manager,
            page_config=page,
            mathjax_config="",
            mathjax_url="",
        )
        await renderer.initialize()
        renderer.resources |= {"perijove": self._resources, "language_code": self._resources["lang"]}
        ui = {"PERIJOVE_APP_UI": self._resources["ui"], "PERIJOVE_APP_BASE": self._resources["base"]}
        environment = {**os.environ, "VOILA_BASE_URL": server.base_url, **ui}
        name = renderer.notebook.metadata.kernelspec.name
        kernel = str(await ensure_async(manager.start_kernel(kernel_name=name, path="", env=environment)))
        try:
            html = await renderer.generate_content_str(kernel, manager.get_kernel(kernel))
        except BaseException:
            with suppress(Exception):
                await ensure_async(manager.shutdown_kernel(kernel, now=True))
            raise
        # What comes before the notebook's output is the same for everybody, and can be sent before there is a kernel.
        self.head = html.partition(_BODY)[0]
        return Ready(kernel, html)


class PageHandler(ExtensionHandlerMixin, JupyterHandler):
    """`voila/render/app.ipynb`."""

    @property
    def content_security_policy(self) -> str:
        """Nothing from outside; Voila's own script and anywidget's modules need the rest."""
        return _POLICY

    @web.authenticated
    async def get(self) -> None:
        """The page; or one that says that others come first; or one that says what is wrong."""
        session = self.extensionapp.app  # type: ignore[attr-defined]
        warm: Warm = session.warm
        ticket = self.get_query_argument("ticket", "")[:64]
        _ = self.xsrf_token  # sets the cookie with which the page's script writes
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        ahead = warm.seats.ahead(ticket, warm.free)
        if ahead:
            self.set_header("Retry-After", "5")
            self.finish(session.plain_page("queue", ahead=ahead))
            return
        warm.seats.done(ticket)
        head = warm.head
        if head:
            # The form is drawn by its own script: it need not wait for a kernel that is still being made.
            self.write(head)
            await self.flush()
        try:
            html = (await warm.take()).html
        except Exception as error:
            self.log.exception("perijove: the app's notebook does not run")
            if head:
                self.finish(f'<p class="pja-Note">{escape(session.words["broken-more"])}</p></main></body></html>\n')
                return
            self.set_status(500)
            self.finish(session.plain_page("broken", detail=f"{type(error).__name__}: {error}"[:400]))
            return
        self.finish(html.removeprefix(head))


class PlaceHandler(ExtensionHandlerMixin, APIHandler):
    """`GET perijove/place?ticket=`: how many are before somebody who waits for a kernel."""

    _track_activity = False

    @web.authenticated
    def get(self) -> None:
        """`{"ahead": n}`; 0: come in."""
        warm: Warm = self.extensionapp.app.warm  # type: ignore[attr-defined]
        self.set_header("Cache-Control", "no-store")
        self.finish({"ahead": warm.seats.ahead(self.get_query_argument("ticket", "")[:64], warm.free)})


def files() -> dict[str, Packed]:
    """What the page loads, by the part of its address: Voila's own script, and the few extensions."""
    from voila.paths import collect_static_paths
    from voila.utils import get_voila_labextensions_path

    voila = [Path(path) for path in collect_static_paths(["voila", "nbconvert"], TEMPLATE) if Path(path).is_dir()]
    extensions = [Path(path) for path in get_voila_labextensions_path() if Path(path).is_dir()]
    here = Path(__file__).parent / "app"
    return {
        "page": Packed(voila),
        "labextensions": Packed(extensions, tuple(f"{name}/" for name in EXTENSIONS)),
        "ui": Packed([here / "ui"]),
    }
