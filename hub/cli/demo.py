"""`perijove demo`: everything on this machine, without root, Node.js or a batch system."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click


@click.command()
@click.option(
    "--port", type=click.IntRange(1024, 19999), help="The port of the one URL; default 8000 or the next free."
)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".perijove"),
    show_default=True,
    help="Where the demo keeps its files from start to start.",
)
@click.option("--no-load", is_flag=True, help="No other people's jobs: nothing ever queues.")
def demo(port: int | None, state_dir: Path, no_load: bool) -> None:
    """Run the whole gateway on this machine, with nine small embedded centres.

    It prints one URL and how to sign in. Ctrl-C ends it and leaves no process behind.
    """
    from perijove.hub import rundemo
    from perijove.hub.children import StartFailed
    from perijove.hub.proxy import ProxyMissing
    from perijove.hub.serve import AlreadyRunning

    try:
        settings = rundemo.settings_for(state_dir, port)
        asyncio.run(rundemo.run(settings, load=not no_load, say=rundemo.say))
    except (StartFailed, ProxyMissing, AlreadyRunning, OSError) as failed:
        raise click.ClickException(str(failed)) from None
