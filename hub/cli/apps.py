"""`perijove apps`: list, make, check, run and publish apps. No gateway is needed for any of it but the last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from perijove.hub.cli.apprun import run
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _, ngettext
from perijove.spawners.visible import visible

if TYPE_CHECKING:
    from perijove.hub.settings import Settings
    from perijove.spawners.apps.manifest import App
    from perijove.spawners.apps.probe import Found

JSON = click.option("--json", "json_", is_flag=True, help="The result as JSON, for programs.")
CONFIG = click.option("--config", type=click.Path(path_type=Path), help="The gateway's settings: its apps folder.")
_STATES = {"ok": N_("ok"), "skipped": N_("skipped"), "failed": N_("FAILED")}


@click.group()
def apps() -> None:
    """List, make, check, run and publish apps.

    An app is a folder with a manifest (app.toml), a pipeline, a notebook and a picture. `perijove apps new NAME` makes
    one that runs; the help page "Write an app" explains it.
    """


apps.add_command(run)


@apps.command("list")
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@CONFIG
@JSON
def list_(folders: tuple[Path, ...], config: Path | None, json_: bool) -> None:
    """List the apps, and say which of them can run on this machine.

    Those that come with Perijove, those of installed packages, those of the gateway's settings (--config), and those
    in each FOLDER.
    """
    from perijove.spawners.apps.catalogue import Catalogue
    from perijove.spawners.apps.probe import look

    settings = _settings(config)
    catalogue = Catalogue([*folders, *([settings.apps_folder] if settings else [])])
    found = catalogue.apps()
    here = {name: look(app) for name, app in found.items()}
    if json_:
        listed = [_entry(app, here[name]) for name, app in found.items()]
        replaced = {name: list(map(str, places)) for name, places in catalogue.replaced.items()}
        click.echo(as_json({"apps": listed, "broken": catalogue.broken, "replaced": replaced}))
        return
    head = (_("APP"), _("VERSION"), _("TITLE"), _("RUNS HERE"))
    click.echo(table(head, [_row(app, here[name]) for name, app in found.items()], limit=160))
    for name, places in catalogue.replaced.items():
        for place in places:
            click.echo(_("not used, another place has {name}: {place}").format(name=name, place=place), err=True)
    for broken, faults in catalogue.broken.items():
        click.echo(_("cannot be used: {place}").format(place=visible(broken, 300)), err=True)
        click.echo("\n".join(f"  {fault}" for fault in faults), err=True)


def _entry(app: App, found: Found) -> dict[str, Any]:
    shown = app.model_dump(mode="json", include={"name", "version", "domain", "title"})
    return shown | {"folder": str(app.folder), "digest": app.digest} | found.as_dict()


def _row(app: App, found: Found) -> list[object]:
    from perijove.hub.languages import of_environment

    title = app.title.in_language(of_environment().code)
    return [app.name, app.version, title, found.way or missing_words(app, found)]


def missing_words(app: App, found: Found) -> str:
    """What is missing for the best way, and how to get it: "no cdo: apt-get install cdo"."""
    from perijove.spawners.apps.probe import ways_to_get

    lacking = [code for code in app.ways[0].codes if found.codes[code] is None]
    words = [f"{code}: {' / '.join(ways_to_get(app.codes[code]))}" for code in lacking]
    return _("no; missing {codes}").format(codes="; ".join(words))


@apps.command()
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Write a small app that is complete and runs, to begin with.

    NAME is its name, or the path of a new folder of that name.
    """
    from perijove.spawners.apps.skeleton import write

    try:
        write(folder)
    except FileExistsError:
        raise click.ClickException(_("{folder} is there already").format(folder=folder)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror}") from None
    shown = folder if "/" in str(folder) else f"./{folder}"
    click.echo(_("{folder} is written. Check it and run it:").format(folder=folder))
    click.echo(f"  perijove apps validate {folder}\n  perijove apps run {shown}")


@apps.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@JSON
@click.pass_context
def validate(ctx: click.Context, folders: tuple[Path, ...], json_: bool) -> None:
    """Check apps: every fault with file and line; and ask the pipeline for its steps, preset by preset.

    Nothing is run, and a preset whose codes or data are not on this machine is skipped. Exit code 0: all is well; 2:
    there are faults.
    """
    results = [_validated(folder) for folder in folders]
    if json_:
        click.echo(as_json({"ok": all(result["ok"] for result in results), "apps": results}))
    else:
        for folder, result in zip(folders, results, strict=True):
            _print(folder, result)
    ctx.exit(0 if all(result["ok"] for result in results) else 2)


def _validated(folder: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from perijove.spawners.apps.manifest import load
    from perijove.spawners.apps.reading import BadApp
    from perijove.spawners.apps.rehearsal import rehearse

    try:
        app = load(folder)
    except BadApp as bad:
        faults = [fault.as_dict() | {"words": str(fault)} for fault in bad.faults]
        return {"folder": str(folder), "ok": False, "faults": faults, "presets": []}
    presets = rehearse(app)
    good = all(one.state != "failed" for one in presets)
    about = {"name": app.name, "version": app.version, "digest": app.digest}
    return {"folder": str(folder), "ok": good, **about, "faults": [], "presets": [asdict(one) for one in presets]}


def _print(folder: Path, result: dict[str, Any]) -> None:
    for fault in result["faults"]:
        click.echo(fault["words"], err=True)
    if result["faults"]:
        return
    click.echo(f"{result['name']} {result['version']} ({folder})")
    for one in result["presets"]:
        name = one["preset"] or _("defaults")
        many = ngettext("{count} step", "{count} steps", one["steps"]).format(count=one["steps"])
        words = many if one["state"] == "ok" else one["detail"]
        click.echo(f"  {_(_STATES[one['state']])} {name}: {words}", err=one["state"] == "failed")


@apps.command()
@click.argument("folder", type=click.Path(path_type=Path))
@CONFIG
@click.option("--apps-dir", type=click.Path(path_type=Path), help="The apps folder itself, instead of --config.")
@JSON
@click.pass_context
def publish(ctx: click.Context, folder: Path, config: Path | None, apps_dir: Path | None, json_: bool) -> None:
    """Check the app in FOLDER and put it into the gateway's apps folder, in one step.

    The gateway sees it by itself. A version that was there is replaced; runs that began with it end with it.
    """
    from perijove.hub.publish import publish as put
    from perijove.spawners.apps.manifest import load

    settings = _settings(config)
    place = apps_dir or (settings.apps_folder if settings else None)
    if place is None:
        raise click.UsageError(_("where to? Give the gateway's settings (--config) or a folder (--apps-dir)"))
    result = _validated(folder)
    if not result["ok"]:
        click.echo(as_json(result)) if json_ else _print(folder, result)
        ctx.exit(2)
    app = load(folder)
    try:
        done = put(app, place.absolute())
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    if json_:
        before = done.before.version if done.before else None
        said = {"folder": str(done.folder), "version": app.version, "before": before, "changes": list(done.changes)}
        click.echo(as_json(said))
        return
    click.echo(_("{name} {version} is in {folder}").format(name=app.name, version=app.version, folder=done.folder))
    if done.before is None:
        click.echo(_("it is new there"))
    for line in done.changes:
        click.echo(f"  {line}")
    if done.before and not done.changes:
        click.echo(_("nothing is different from what was there"))
    elif done.before and done.before.version == app.version:
        click.echo(_("advice: it has the version of the one before; raise `version` when results change"))


def _settings(config: Path | None) -> Settings | None:
    from perijove.hub.settings import BadSettings, Settings

    try:
        return Settings.load(config) if config else None
    except BadSettings as bad:
        raise click.UsageError(str(bad)) from None
