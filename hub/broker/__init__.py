"""The broker: links, watcher, sessions and tunnels behind one documented HTTP API; `create_app(settings)` is it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI
    from perijove.hub.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """See `perijove.hub.broker.app.create_app`; imported when it is called, for it needs the gateway's dependencies."""
    from perijove.hub.broker.app import create_app as create

    return create(settings)


__all__ = ["create_app"]
