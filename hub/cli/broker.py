"""`perijove broker`: the broker alone, for systemd and the like; `perijove serve` runs it so, too."""

from __future__ import annotations

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
def broker(path: Path) -> None:
    """Run the broker alone. It listens on 127.0.0.1."""
    import uvicorn
    from perijove.hub.broker import create_app
    from perijove.hub.settings import BadSettings, Settings
    from perijove.spawners.centrefaults import CentreFaults
    from perijove.spawners.centres import load

    try:
        settings = Settings.load(path)
        load(settings.centres_dir)
    except (BadSettings, CentreFaults) as bad:
        raise click.UsageError(str(bad)) from None
    uvicorn.run(
        create_app(settings),
        host="127.0.0.1",
        port=settings.broker_port,
        # Addresses may hold one-time codes of a login; the broker logs what matters itself.
        access_log=False,
        log_level="info",
        # Long polls would hold up an orderly end.
        timeout_graceful_shutdown=3,
        forwarded_allow_ips="127.0.0.1",
    )
