"""`perijove doctor`: is this machine fit, and does each centre work from login to tunnel?"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from perijove.hub.cli.inwords import no_such_centre
from perijove.hub.cli.tables import as_json, padded, width
from perijove.hub.cli.words import N_, _, english
from perijove.spawners.visible import visible

if TYPE_CHECKING:
    from perijove.hub.settings import Settings
    from perijove.spawners.centre import Centre
    from perijove.spawners.trialwords import Step

    #: The steps of a centre's trial, and what its node has of each app.
    Tried = tuple[list[Step], dict[str, Any]]

_MARKS = {"ok": N_("ok"), "advice": N_("advice"), "failed": N_("FAILED"), "skipped": N_("skipped")}


@click.command()
@click.argument("names", metavar="[CENTRE]...", nargs=-1)
@click.option("--config", type=click.Path(path_type=Path), help="The gateway's settings; its centres are tried.")
@click.option(
    "--centres", "places", multiple=True, type=click.Path(path_type=Path), help="Descriptions to try instead."
)
@click.option("--account", help="Try as this account (identity key and sudo).")
@click.option("--key-file", type=click.Path(path_type=Path), help="The private key for --account (identity key).")
@click.option("--queue", default="", help="Try this queue.  [default: the first one]")
@click.option("--wait", default=120, show_default=True, type=click.IntRange(1, 86400), help="Seconds a job may queue.")
@click.option("--no-job", is_flag=True, help="Only look: submit nothing.")
@click.option("--json", "json_", is_flag=True, help="The result as JSON, for programs.")
@click.pass_context
def doctor(  # noqa: PLR0913, PLR0917  (click gives each option as an argument)
    ctx: click.Context,
    names: tuple[str, ...],
    config: Path | None,
    places: tuple[Path, ...],
    account: str | None,
    key_file: Path | None,
    queue: str,
    wait: int,
    no_job: bool,
    json_: bool,
) -> None:
    """Test this machine and each centre end to end, and say what to mend.

    At each centre a job of two minutes is submitted, reached and cancelled, and its node says which apps can run there.
    A gateway that runs with these settings is asked, too: which centres do not answer it, which are drained; and it is
    told of the apps. Exit code 0: all is well; 1: something is to be mended; 2: the settings or descriptions are wrong.
    """
    from perijove.hub import machine
    from perijove.hub.cli import running
    from perijove.spawners.link import Account

    settings = _settings(config)
    chosen = _chosen(names, places or ((settings.centres_dir,) if settings else ()))
    with english() if json_ else nullcontext():
        steps = machine.check(settings)
        gateway = running.check(settings) if settings else []
    # The embedded queue's program lies beside this Python, wherever the command was called from.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    options = {"queue": queue, "wait": float(wait), "job": not no_job}
    try:
        person = Account(name=account or "", key_file=str(key_file.absolute()) if key_file else "")
    except ValueError as error:
        raise click.UsageError(f"--account: {visible(str(error))}") from None
    trials = asyncio.run(_all(chosen, person, options, quiet=json_)) if chosen else {}
    if settings:
        running.tell(settings, {name: apps for name, (_steps, apps) in trials.items()})
    if json_:
        found = {name: [step.as_dict() for step in done] for name, (done, _apps) in trials.items()}
        ours = {"machine": steps, "gateway": gateway}
        click.echo(as_json({key: [step.as_dict() for step in done] for key, done in ours.items()} | {"centres": found}))
    else:
        _print(_("this machine"), steps)
        if gateway:
            _print(_("the gateway that runs"), gateway)
        if not chosen:
            click.echo(_("no centre was tried: name the settings (--config) or descriptions (--centres)"), err=True)
    tried = [done for done, _apps in trials.values()]
    failed = [step for done in (steps, gateway, *tried) for step in done if step.state == "failed"]
    ctx.exit(1 if failed else 0)


def _settings(config: Path | None) -> Settings | None:
    from perijove.hub.settings import BadSettings, Settings

    if config is None:
        return None
    try:
        return Settings.load(config)
    except BadSettings as bad:
        raise click.UsageError(str(bad)) from None


def _chosen(names: tuple[str, ...], places: tuple[Path, ...]) -> list[Centre]:
    from perijove.spawners.centres import CentreFaults, load

    if not places:
        if names:
            raise click.UsageError(_("where are the centres described? Give --config FILE or --centres DIRECTORY"))
        return []
    try:
        known = load(*places)
    except CentreFaults as error:
        raise click.UsageError(str(error)) from None
    for name in names:
        if name not in known:
            raise click.UsageError(no_such_centre(name, known))
    return [centre for centre in known.values() if not names or centre.id in names]


async def _all(centres: list[Centre], person: Any, options: Mapping[str, Any], *, quiet: bool) -> dict[str, Tried]:
    """Every centre at the same time; each is printed when it is done."""
    done = await asyncio.gather(*(_one(centre, person, options, quiet=quiet) for centre in centres))
    return {centre.id: steps for centre, steps in zip(centres, done, strict=True)}


async def _one(centre: Centre, person: Any, options: Mapping[str, Any], *, quiet: bool) -> Tried:
    from dataclasses import replace

    from perijove.spawners.link import link_for
    from perijove.spawners.trial import Trial

    account = person
    if centre.login.identity == "sudo":
        account = replace(person, name="", key_file="", run_as=person.name)
    link = link_for(centre, account)
    trial = Trial(centre, link, account, **options)
    try:
        steps = await trial.run()
    finally:
        await link.close()
    if not quiet:
        _print(centre.id, steps)
    return steps, trial.apps


def _print(title: str, steps: list[Step]) -> None:
    click.echo(f"\n{title}")
    marks = {state: _(mark) for state, mark in _MARKS.items()}
    wide = max(width(mark) for mark in marks.values())
    for step in steps:
        took = f" ({step.seconds:.1f} s)" if step.seconds >= 0.05 else ""
        name = f"{padded(marks[step.state], wide)} {_(step.name)}"
        click.echo(f"  {name}{took}{': ' + step.detail if step.detail else ''}")
        if step.mend:
            click.echo(" " * (wide + 3) + _("mend: {advice}").format(advice=step.mend))
