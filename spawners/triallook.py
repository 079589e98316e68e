"""The part of a trial that only looks: nothing is submitted, nothing stays but an empty folder of the gateway's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from perijove.spawners import trialwords as words
from perijove.spawners.batch import BatchError, batch_system
from perijove.spawners.centre import Centre, Queue
from perijove.spawners.link import Account, Link, LinkError
from perijove.spawners.trialwords import Failed, Step
from perijove.spawners.tunnel_types import TunnelError
from perijove.spawners.units import memory_text
from perijove.spawners.visible import visible
from perijove.spawners.watcher import outputs_of

#: Seconds for one command at the centre.
COMMAND = 30.0


@dataclass
class Look:
    """The steps before a job, and how a step is done. `queue`: "" is the first one."""

    centre: Centre
    link: Link
    account: Account = field(default_factory=Account)
    queue: str = ""
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answer: dict[str, Any] = {}

    @property
    def good(self) -> bool:
        """Whether no step failed."""
        return all(step.state != "failed" for step in self.steps)

    async def look(self) -> None:
        """The steps that need no job."""
        await self._do("description", self._description)
        if self.good:
            await self._login()
        for name, work in (("programs", self._programs), ("environment", self._environment), ("space", self._space)):
            await self._do(name, work)

    async def _do(self, name: str, work: Callable[[], Awaitable[str]], *, skip: str = "", always: bool = False) -> None:
        """One step, timed; skipped after a failure."""
        if skip or not (self.good or always):
            self.steps.append(Step(name, "skipped", 0.0, skip or "an earlier step failed"))
            return
        begun = time.monotonic()
        try:
            state, detail, mend = "ok", await work(), ""
        except Failed as failed:
            state, detail, mend = "failed", failed.detail, failed.mend
        except LinkError as error:
            state, detail, mend = "failed", error.detail, words.mend_link(error)
        except BatchError as error:
            state, detail, mend = "failed", f"{error.problem}: {error.detail}", words.mend_batch(error)
        except TunnelError as error:
            state, detail, mend = "failed", f"{error.problem}: {error.detail}", words.mend_tunnel(error)
        except OSError as error:
            state, detail, mend = "failed", str(error), "see what this machine says of it"
        self.steps.append(Step(name, state, time.monotonic() - begun, visible(detail, 600), mend))

    async def _description(self) -> str:
        centre, queue = self.centre, self._chosen()
        if centre.login.identity in ("key", "sudo") and not (self.account.name or self.account.run_as):
            raise Failed(
                f'identity "{centre.login.identity}": jobs run as people, and no account was named to try it with',
                "name an account that may be used for a trial: --account NAME"
                + (" --key-file FILE" if centre.login.identity == "key" else ""),
            )
        await asyncio.to_thread(batch_system, centre)
        return f"{centre.scheduler.system}, {len(centre.queues)} queue(s); trying {queue.name}"

    async def _login(self) -> None:
        """Reach, host key, login and launcher: one call tells of all four."""
        begun, failed, error = time.monotonic(), "", None
        local = self.centre.scheduler.system == "local"
        try:
            self._answer = await self.link.launch(self._check(), timeout=COMMAND + 15)
        except LinkError as caught:
            failed, error = words.step_of(caught.problem), caught
        seconds = time.monotonic() - begun
        for name in words.LOGIN_STEPS:
            if name == failed and error is not None:
                self.steps.append(Step(name, "failed", seconds, error.detail, words.mend_link(error)))
            elif failed in words.LOGIN_STEPS and not self.good:
                self.steps.append(Step(name, "skipped", 0.0, "an earlier step failed"))
            elif local and name != "launcher":
                self.steps.append(Step(name, "skipped", 0.0, "this machine"))
            else:
                said = f"Python {self._answer.get('python')}, account {self._answer.get('account')}"
                last = name == "launcher" and not failed
                if last and (older := words.older_launcher(self._answer.get("version"))):
                    mend = words.mend_launcher(self.centre.login.launcher)
                    self.steps.append(Step(name, "advice", seconds, visible(f"{said}; {older}"), mend))
                    continue
                self.steps.append(Step(name, "ok", seconds if last else 0.0, visible(said) if last else ""))

    def _check(self) -> dict[str, Any]:
        system = batch_system(self.centre)
        return {
            "verb": "check",
            "base": self.centre.paths.base,
            "programs": [system.program(name) for name in system.programs],
            "python": self._python(),
            "timeout": COMMAND,
        }

    async def _programs(self) -> str:
        found = self._answer.get("programs")
        missing = [visible(name, 60) for name, path in (found if isinstance(found, dict) else {}).items() if not path]
        if missing:
            raise Failed(f"not found at the login node: {', '.join(missing)}", words.MEND_PROGRAMS)
        return f"{len(found or ())} found"

    async def _environment(self) -> str:
        try:
            output = outputs_of(self._answer, 1)[0]
            versions = json.loads(output.stdout) if output.status == 0 else None
            said = (output.stderr or output.stdout).strip()[-300:]
        except (BatchError, ValueError) as error:
            versions, said = None, str(error)
        if not isinstance(versions, dict):
            raise Failed(f"{self._python()} does not run at the login node: {said}", words.MEND_PYTHON)
        missing = [name for name in ("perijove", "jupyterhub", "jupyterlab") if not versions.get(name)]
        if missing or not versions.get("agent"):
            raise Failed(f"{self._python()} has no {', '.join(missing) or 'agent'}", words.MEND_PACKAGES)
        if not str(versions["jupyterhub"]).startswith("6."):
            raise Failed(f"JupyterHub {versions['jupyterhub']} does not suit this gateway", words.MEND_PACKAGES)
        found = ", ".join(f"{name} {versions[name]}" for name in ("perijove", "jupyterhub", "jupyterlab"))
        # Sessions run without it, so that its lack is said and fails nothing.
        dask = versions.get("distributed")
        return f"{found}, {f'Dask {dask}' if dask else 'no Dask: clusters cannot run here'}"

    async def _space(self) -> str:
        free = self._answer.get("free")
        mib = free // 2**20 if isinstance(free, int) else 0
        if mib < 100:
            raise Failed(f"only {mib} MiB are free in {self._answer.get('base')}", words.MEND_SPACE)
        return f"{memory_text(mib // 1024 * 1024 or mib)} free in {self._answer.get('base')}"

    def _name(self) -> str:
        return self.account.run_as or self.account.name or self.centre.login.account

    def _python(self) -> str:
        return self.centre.environment.python.replace("{account}", self._name())

    def _chosen(self) -> Queue:
        queue = self.centre.queue(self.queue) if self.queue else self.centre.queues[0]
        if queue is None:
            known = ", ".join(queue.name for queue in self.centre.queues)
            raise Failed(f"there is no queue {visible(self.queue, 40)!r}", f"it has {known}")
        return queue
