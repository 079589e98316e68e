"""A run of an app in a terminal: the engine works in a thread, and what it reports is shown as it comes."""

from __future__ import annotations

import getpass
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli.tables import as_json
from perijove.hub.cli.words import N_, _
from perijove.spawners.apps.expressions import BadExpression
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.needs import needs
from perijove.spawners.apps.pool import Here
from perijove.spawners.apps.runner import ORDER, AlreadyRunning, Runner
from perijove.spawners.apps.state import write_json
from perijove.spawners.visible import visible

#: Seconds between two looks at how far it is.
EVERY = 0.3
_STATES = {
    "done": N_("done"),
    "kept": N_("kept from before"),
    "failed": N_("FAILED"),
    "cancelled": N_("cancelled"),
}


def execute(
    app: App,
    inputs: Mapping[str, Any],
    language: str,
    *,
    folder: Path | None,
    way: str | None,
    cores: int | None,
    datasets: Mapping[str, str],
    json_: bool,
) -> int:
    """Run `app` with parsed `inputs` and say how it went; the exit code.

    `datasets`: where those of centres are on this machine.
    """
    if way:
        app = app.model_copy(update={"ways": tuple(one for one in app.ways if one.name == way)})
    try:
        takes = needs(app, inputs)
    except BadExpression as error:
        raise click.ClickException(str(error)) from None
    place = (folder or _fresh(app.name)).absolute()
    use = cores or min(takes.cores, os.cpu_count() or 1)
    try:
        _order(place, app, inputs, language, use, datasets)
        runner = Runner(place, app, Here(use))
        report = _watched(runner, place, quiet=json_)
    except AlreadyRunning as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or place}: {error.strerror}") from None
    if json_:
        click.echo(as_json({"folder": str(place), **report}))
    else:
        _summary(report, place, language)
    return 0 if report["state"] == "done" else 1


def _fresh(name: str) -> Path:
    """The first folder NAME-1, NAME-2, ... that is not there, below the current one."""
    number = 1
    while (place := Path(f"{name}-{number}")).exists():
        number += 1
    return place


def _order(
    place: Path, app: App, inputs: Mapping[str, Any], language: str, cores: int, datasets: Mapping[str, str]
) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = place / ORDER
    if not file.exists() and any(place.iterdir()):
        raise click.UsageError(_("{folder} is not empty, and no run's").format(folder=place))
    if file.exists():
        try:
            before = json.loads(file.read_bytes()).get("app")
        except (ValueError, AttributeError):
            before = None
        if before != app.name:
            raise click.UsageError(_("{folder} is the run of another app").format(folder=place))
    order = {
        "run": place.name,
        "app": app.name,
        "app_version": app.version,
        "digest": app.digest,
        "app_folder": str(app.folder),
        "inputs": dict(inputs),
        "datasets": dict(datasets),
        "language": language,
        "cores": cores,
        "owner": getpass.getuser(),
        "home": "/",  # whoever types a path here may read it anyway
    }
    write_json(file, order)


def _watched(runner: Runner, place: Path, *, quiet: bool) -> dict[str, Any]:
    """The report at the end; until then what changes is shown, and Ctrl-C ends the run in order."""
    reports: list[dict[str, Any]] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            reports.append(runner.run())
        except BaseException as error:  # said by whoever called
            errors.append(error)

    thread = threading.Thread(target=work)
    shown = _Shown(sys.stderr.isatty())
    with _orderly(runner):
        thread.start()
        while thread.is_alive():
            thread.join(EVERY)
            if not quiet:
                shown.show(_read(place))
    if errors:
        raise errors[0]
    if not quiet:
        shown.show(reports[0])
        shown.end()
    return reports[0]


@contextmanager
def _orderly(runner: Runner) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: runner.cancel()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read(place: Path) -> dict[str, Any]:
    try:
        found = json.loads((place / "state.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class _Shown:
    """What was shown: a line for each step that ended, and on a terminal one that moves."""

    def __init__(self, terminal: bool) -> None:
        self._terminal, self._ended, self._moving = terminal, set[str](), False

    def show(self, report: Mapping[str, Any]) -> None:
        """Show what is new in `report`."""
        for step in report.get("steps", ()):
            if step["state"] in _STATES and step["name"] not in self._ended:
                self._ended.add(step["name"])
                self.end()
                took = f" ({step['seconds']:.1f} s)" if step["seconds"] else ""
                click.echo(f"  {_title(step['title'])}: {_(_STATES[step['state']])}{took}", err=True)
        if self._terminal and report.get("state") == "running":
            running = [step for step in report["steps"] if step["state"] == "running"]
            left = report.get("left")
            words = ", ".join(_title(step["title"]) for step in running)[:60]
            rest = "" if left is None else "  " + _("about {seconds} s left").format(seconds=round(left))
            click.echo(f"\r\033[K  {100 * report['progress']:3.0f} %  {words}{rest}", nl=False, err=True)
            self._moving = True

    def end(self) -> None:
        """Clear the line that moves."""
        if self._moving:
            click.echo("\r\033[K", nl=False, err=True)
        self._moving = False


def _title(words: Mapping[str, str]) -> str:
    from perijove.hub.languages import of_environment

    return words.get(of_environment().code) or words.get("en", "")


def _summary(report: Mapping[str, Any], place: Path, language: str) -> None:
    failure, results = report.get("failure"), report.get("results")
    if failure:
        _failed(failure, place)
    elif results is None:
        click.echo(_("cancelled; `--folder {folder}` goes on").format(folder=place), err=True)
    else:
        _results(results, place / "results")
    if results is not None:
        click.echo(_("everything is in {folder}").format(folder=place / "results"))


def _results(results: Mapping[str, Any], folder: Path) -> None:
    for key in ("reading", "limits"):
        if results.get(key):
            click.echo(_title(results[key]))
    for one in results["numbers"]:
        click.echo(f"  {_title(one['title'])}: {one['value']:.6g} {one.get('unit') or ''}".rstrip())
    shown = [*results["figures"], *results["tables"]]
    names = {one["file"] for one in shown}
    for one in (*shown, *(file for file in results["files"] if file["file"] not in names)):
        click.echo(f"  {_title(one['title'])}: {folder / one['file']}")


def _failed(failure: Mapping[str, Any], place: Path) -> None:
    where = f"{failure['step']}: " if failure.get("step") else ""
    click.echo(f"{where}{_title(failure['message'])}", err=True)
    if failure.get("command"):
        click.echo("  " + visible(" ".join(failure["command"]), 500), err=True)
    for line in failure.get("lines") or ():
        click.echo(f"  | {visible(line, 300)}", err=True)
    if failure.get("advice"):
        click.echo(_("mend: {advice}").format(advice=_title(failure["advice"])), err=True)
    click.echo(_("what was finished is kept in {folder}").format(folder=place), err=True)
