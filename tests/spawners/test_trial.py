"""A trial of a centre says where the way to a session ends, and leaves nothing behind. Real jobs, on this machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from perijove.spawners.apps import skeleton
from perijove.spawners.centre import Centre, parse
from perijove.spawners.launcher import VERSION as LAUNCHER
from perijove.spawners.link import Account, Link, LinkError, LinkProblem
from perijove.spawners.link_local import LocalLink
from perijove.spawners.localqueue import LocalQueue
from perijove.spawners.localqueue_plan import Size
from perijove.spawners.localqueue_process import this_python
from perijove.spawners.trial import Trial
from perijove.spawners.trialwords import LOGIN_STEPS, Step

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDsxAeI/AIoSgBYyT3IeQ3dMnEKoc2H742eDNd108BBF"


def description(folder: Path, **changes: Any) -> dict[str, Any]:
    program = folder / "localqueue"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(this_python())} "$@"\n')
    program.chmod(0o755)
    return {
        "id": "here",
        "name": {"en": "Here", "zh": "这里"},
        "scheduler": {
            "system": "local",
            "root": str(folder / "queue"),
            "commands": {"perijove-localqueue": str(program)},
        },
        "environment": {"python": sys.executable},
        "paths": {"base": str(folder / "base"), "home": str(folder)},
        "queues": [{"name": "a", "cores": 2, "memory": "4G"}, {"name": "full", "cores": 1, "memory": "4G"}],
    } | changes


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    jobs = list((tmp_path / "base").glob("*")) if (tmp_path / "base").exists() else []
    assert jobs == [], "a trial left a folder behind"


async def trial(centre: Centre, **options: Any) -> dict[str, Step]:
    steps = await Trial(centre, LocalLink(centre, Account()), **options).run()
    return {step.name: step for step in steps}


async def test_a_centre_that_works_passes_every_step(folder: Path) -> None:
    steps = await trial(parse(description(folder)))
    told = {name: step.state for name, step in steps.items()}
    assert {name for name, state in told.items() if state == "skipped"} == {"reach", "host key", "login"}
    assert "failed" not in told.values(), [str(step) for step in steps.values()]
    assert told["tunnel"] == told["cleanup"] == "ok"
    assert "jupyterhub 6" in steps["environment"].detail


class OldLink(LocalLink):
    """To a centre where the launcher of a version before is installed."""

    async def launch(self, request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:  # noqa: ASYNC109
        return {**await super().launch(request, timeout=timeout), "version": LAUNCHER - 1}


async def test_an_older_launcher_is_said_with_what_installs_the_new_one(folder: Path) -> None:
    centre = parse(description(folder))
    steps = {step.name: step for step in await Trial(centre, OldLink(centre, Account()), job=False).run()}
    step = steps["launcher"]
    assert step.state == "advice" and steps["programs"].state == "ok", "it goes on: only files need the new one"
    assert f"launcher {LAUNCHER - 1} is installed, this gateway wants {LAUNCHER}" in step.detail
    assert "install -o root -g root -m 755 launcher.py /usr/local/bin/perijove-launcher" in step.mend
    now = {step.name: step for step in await Trial(centre, LocalLink(centre, Account()), job=False).run()}
    assert (now["launcher"].state, now["launcher"].mend) == ("ok", "")


def with_an_app(folder: Path, code: str) -> dict[str, Any]:
    """The environment of a centre in which a package brings the app "wave", which needs the Python package `code`."""
    site = folder / "site"
    info = site / "their_apps-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "their_apps").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-apps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[perijove.apps]\nwave = their_apps.wave\n")
    manifest = skeleton.write(site / "their_apps" / "wave") / "app.toml"
    manifest.write_text(manifest.read_text().replace('import = "matplotlib"', f'import = "{code}"'))
    return {"python": sys.executable, "prolog": [f"export PYTHONPATH={site}"]}


async def test_the_node_says_which_apps_can_run_there(folder: Path) -> None:
    centre = parse(description(folder, environment=with_an_app(folder, "matplotlib")))
    tried = Trial(centre, LocalLink(centre, Account()))
    steps = {step.name: step for step in await tried.run()}
    assert "wave ready (python)" in steps["apps"].detail
    assert tried.apps["wave"]["codes"]["matplotlib"]
    assert steps["cleanup"].state == "ok"


async def test_an_app_that_lacks_something_fails_nothing_and_says_how_to_get_it(folder: Path) -> None:
    steps = await trial(parse(description(folder, environment=with_an_app(folder, "no_such_package"))))
    assert steps["apps"].state == "advice"
    assert "wave lacks matplotlib" in steps["apps"].detail
    assert "wave: apt-get install python3-matplotlib / pip install matplotlib" in steps["apps"].mend
    assert "failed" not in {step.state for step in steps.values()}


async def test_a_centre_whose_perijove_knows_no_apps_is_told_to_have_a_newer_one(folder: Path) -> None:
    old = folder / "old"
    environment = {"python": sys.executable, "prolog": [f"export PYTHONPATH={old}"]}
    old.mkdir()
    (old / "sitecustomize.py").write_text(
        "import sys\nsys.modules['perijove.spawners.apps'] = None\n"  # as if there were no such package
    )
    steps = await trial(parse(description(folder, environment=environment)))
    assert steps["apps"].state == "advice"
    assert "not found out" in steps["apps"].detail
    assert "pip install --upgrade" in steps["apps"].mend
    assert steps["cleanup"].state == "ok"


async def test_a_python_that_is_not_there_is_told_before_anything_is_submitted(folder: Path) -> None:
    steps = await trial(parse(description(folder, environment={"python": "/nowhere/python"})))
    assert steps["environment"].state == "failed"
    assert "/nowhere/python" in steps["environment"].detail
    assert "environment.python" in steps["environment"].mend
    assert steps["submission"].state == steps["cleanup"].state == "skipped"


async def test_a_program_that_is_not_there_is_told(folder: Path) -> None:
    scheduler = {"system": "local", "root": str(folder), "commands": {"perijove-localqueue": "no-such-program"}}
    steps = await trial(parse(description(folder, scheduler=scheduler)))
    assert "no-such-program" in steps["programs"].detail
    assert "[scheduler.commands]" in steps["programs"].mend


async def test_a_job_that_ends_at_once_is_told_with_its_log(folder: Path) -> None:
    environment = {"python": sys.executable, "prolog": ["echo no such module >&2; exit 3"]}
    steps = await trial(parse(description(folder, environment=environment)))
    failed = next(step for step in steps.values() if step.state == "failed")
    assert failed.name in ("start", "agent")
    assert "no such module" in failed.detail
    assert steps["cleanup"].state == "ok"


async def test_a_job_that_does_not_start_in_time_is_told_and_cancelled(folder: Path) -> None:
    centre = parse(description(folder))
    queue = LocalQueue(str(folder / "queue"), [("full", 1, Size(1, 4096, 0))])
    (folder / "other").mkdir()
    blocker = queue.submit("other", "full", Size(1, 100, 0), 100, "#!/bin/sh\nsleep 60\n", str(folder / "other"))
    try:
        steps = await trial(centre, queue="full", wait=2.0)
    finally:
        queue.cancel([blocker])
    assert steps["start"].state == "failed"
    assert "did not start in 2 s" in steps["start"].detail
    assert "--wait" in steps["start"].mend
    assert steps["cleanup"].state == "ok"


async def test_without_a_job_nothing_is_submitted(folder: Path) -> None:
    steps = await trial(parse(description(folder)), job=False)
    assert steps["space"].state == "ok"
    assert steps["submission"].state == "skipped"
    assert not (folder / "queue").exists()


async def test_a_queue_that_is_not_there_is_told(folder: Path) -> None:
    steps = await trial(parse(description(folder)), queue="b")
    assert steps["description"].mend == "it has a, full"


class Broken(Link):
    """A link that fails in one way."""

    problem = LinkProblem.UNREACHABLE

    async def launch(self, request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:  # noqa: ASYNC109
        raise LinkError(self.problem, "no\u202e\x1b[2J")

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("problem", list(LinkProblem))
async def test_each_problem_of_a_link_fails_one_step_and_says_what_to_mend(problem: LinkProblem, folder: Path) -> None:
    centre = parse(
        description(folder, scheduler={"system": "slurm"}, login={"host": "login.example", "host_keys": [KEY]})
    )
    link = Broken(centre, Account())
    link.problem = problem
    trial = Trial(centre, link)
    steps = await trial.run()
    failed = [step for step in steps if step.state == "failed"]
    assert [step.name for step in failed if step.name in LOGIN_STEPS] == [failed[0].name]
    assert len(failed) == 1
    assert failed[0].mend
    assert failed[0].detail.isprintable()
    names = [step.name for step in steps]
    assert len(names) == len(set(names)) == 14


async def test_an_identity_of_people_asks_for_an_account(folder: Path) -> None:
    centre = parse(
        description(
            folder,
            scheduler={"system": "slurm"},
            login={"host": "login.example", "host_keys": [KEY], "identity": "key"},
        )
    )
    steps = await Trial(centre, Broken(centre, Account())).run()
    assert "--account NAME --key-file FILE" in steps[0].mend
