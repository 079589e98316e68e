"""`perijove serve`: the gateway for real, from a settings file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The settings file; deploy/perijove.toml shows every key.",
)
def serve(path: Path) -> None:
    """Run the gateway: proxy, broker and hub.

    Each is restarted alone if it dies. Logs are in logs/ of the state directory. Ctrl-C or SIGTERM ends all three;
    sessions go on at their centres and are there again after the next start.
    """
    from perijove.hub import serve as gateway
    from perijove.hub.children import StartFailed
    from perijove.hub.proxy import ProxyMissing
    from perijove.hub.settings import BadSettings, Settings
    from perijove.spawners.centrefaults import CentreFaults
    from perijove.spawners.centres import load

    try:
        settings = Settings.load(path)
        load(settings.centres_dir)
    except (BadSettings, CentreFaults) as bad:
        raise click.UsageError(str(bad)) from None
    try:
        asyncio.run(gateway.serve(settings, path.absolute()))
    except (StartFailed, ProxyMissing, gateway.AlreadyRunning) as failed:
        raise click.ClickException(str(failed)) from None
