"""`perijove apps run APP`: runs an app on this machine, with a flag for each input of its manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from perijove.hub.cli.words import _
from perijove.spawners.visible import visible

if TYPE_CHECKING:
    from perijove.spawners.apps.manifest import App
    from perijove.spawners.apps.parts import Input
    from perijove.spawners.request import Fault


class _Apps(click.Group):
    """A group whose commands are the apps: by name, or by the path of a folder."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the apps that come with Perijove or with an installed package."""
        return list(_known())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one app, with its flags; hidden, so that the reference does not repeat every manifest."""
        app = _app(cmd_name)
        return _command(app, cmd_name) if app else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The apps, each with its title."""
        from perijove.hub.languages import of_environment

        language = of_environment().code
        with formatter.section(_("Apps")):
            formatter.write_dl(
                [(name, app.title.in_language(language)) for name, app in _known().items()] or [("", "")]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the app that `args` begins with, or a fault in words."""
        command = self.get_command(ctx, args[0])
        if command is None:
            words = _("there is no app '{name}'; `perijove apps list` shows them, a folder is given as ./FOLDER")
            raise click.UsageError(words.format(name=visible(args[0], 60)))
        return args[0], command, args[1:]


@click.group(cls=_Apps, subcommand_metavar="APP [INPUTS]...")
def run() -> None:
    """Run an app on this machine, in a folder of its own.

    APP is a name or a folder (./my-app). `perijove apps run APP --help` shows its inputs, one flag each. Progress is
    shown while it runs; Ctrl-C ends it in order. A run that was broken off goes on where it was: give its --folder.
    Exit code 0: done; 1: it failed; 2: an input is wrong.
    """


def _known() -> Mapping[str, App]:
    from perijove.spawners.apps.catalogue import Catalogue

    return Catalogue().apps()


def _app(name: str) -> App | None:
    from perijove.spawners.apps.manifest import FILE, load
    from perijove.spawners.apps.reading import BadApp

    if "/" not in name and not (Path(name) / FILE).exists():
        return _known().get(name)
    try:
        return load(name)
    except BadApp as bad:
        raise click.UsageError(str(bad)) from None


def _command(app: App, name: str) -> click.Command:
    from perijove.hub.languages import of_environment

    language = of_environment().code
    flags = [_flag(key, one, language) for key, one in app.inputs.items()]
    presets = click.Choice([preset.name for preset in app.presets])
    told = "; ".join(f"{preset.name}: {preset.title.in_language(language)}" for preset in app.presets)
    ways = click.Choice([way.name for way in app.ways])
    own: list[click.Parameter] = [
        click.Option(["--preset"], type=presets, help=_("Begin with these values. {presets}").format(presets=told)),
        click.Option(
            ["--folder"], type=click.Path(path_type=Path), help=_("The run's folder.  [default: a new one here]")
        ),
        click.Option(
            ["--way"], type=ways, help=_("Compute it this way.  [default: the first one that is complete here]")
        ),
        click.Option(
            ["--cores"], type=click.IntRange(1, 10_000), help=_("Cores to use.  [default: what the app asks for]")
        ),
        click.Option(
            ["--dataset-at", "datasets"],
            multiple=True,
            metavar="NAME=PATH",
            help=_("Where a data set of a centre lies on this machine; may be given several times."),
        ),
        click.Option(["--json", "json_"], is_flag=True, help=_("The report as JSON, for programs.")),
    ]

    def work(**given: Any) -> None:
        from perijove.hub.cli.appterminal import execute

        options = {key: given.pop(key) for key in ("preset", "folder", "way", "cores", "datasets", "json_")}
        order = _inputs(app, options["preset"], given, language)
        options["datasets"] = _datasets(options["datasets"])
        del options["preset"]
        raise SystemExit(execute(app, order, language, **options))

    about = f"{app.title.in_language(language)}\n\n{app.about.in_language(language)}"
    return click.Command(name, params=[*flags, *own], callback=work, help=about, hidden=True)


def _flag(name: str, one: Input, language: str) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    words = f"{one.title.in_language(language)}: {one.help.in_language(language)}{_limits(one)}"
    if one.type == "boolean":
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=words)
    metavar = {"choice": "CHOICE", "choices": "A,B", "range": "LOW..HIGH", "box": "W,S,E,N", "file": "FILE"}
    return click.Option([flag, name], metavar=metavar.get(one.type, one.type.upper()), help=words)


def _limits(one: Input) -> str:
    """What is allowed, and what stands if nothing is given."""
    from perijove.spawners.apps.inputs import amount

    said = []
    if one.choices:
        said.append(", ".join(choice.value for choice in one.choices))
    if one.min is not None and one.max is not None:
        said.append(f"{amount(one.min)} .. {amount(one.max, one.unit)}")
    if one.formats:
        said.append(", ".join(f".{ending}" for ending in one.formats))
    if one.default not in (None, "", []):
        said.append(_("default: {value}").format(value=_flagged(one)))
    return f"  [{'; '.join(said)}]" if said else ""


def _flagged(one: Input) -> str:
    """The default as one would type it behind the flag."""
    if isinstance(one.default, bool):
        return _("yes") if one.default else _("no")
    if isinstance(one.default, list):
        return (".." if one.type == "range" else ",").join(map(str, one.default))
    return str(one.default)


def _inputs(app: App, preset: str | None, given: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The inputs of the run, as they go into its order; files of this machine as paths below "/"."""
    from perijove.spawners.apps.inputs import Inputs
    from perijove.spawners.request import BadRequest

    chosen = app.preset(preset) if preset else None
    raw = dict(chosen.inputs) if chosen else {}
    for name, value in given.items():
        if value is not None:
            file = app.inputs[name].type == "file" and not str(value).startswith("data:")
            raw[name] = os.path.abspath(value).lstrip("/") if file and value else value  # noqa: PTH100  (no link followed)
    try:
        return Inputs(app).parse(raw)
    except BadRequest as bad:
        raise click.UsageError("\n".join(_said(fault, language) for fault in bad.faults)) from None


def _datasets(given: tuple[str, ...]) -> dict[str, str]:
    """NAME=PATH by name."""
    pairs = [one.partition("=") for one in given]
    if odd := [name for name, _is, path in pairs if not (name and path)]:
        raise click.UsageError(_("--dataset-at takes NAME=PATH, not {given}").format(given=visible(odd[0], 60)))
    return {name: os.path.abspath(path) for name, _is, path in pairs}  # noqa: PTH100  (no link followed)


def _said(fault: Fault, language: str) -> str:
    from perijove.spawners.apps.inputwords import words

    return f"--{fault.field.replace('_', '-')}: {words(fault, language)}"
