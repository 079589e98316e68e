"""A demo centre from submission to an answer through the tunnel; all of it real processes of this machine."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from doubles.jobs import SERVER_ARGV, eventually
from doubles.login import new_key, public
from perijove.hub.demo import clean_up, prepare
from perijove.spawners.batch import batch_system
from perijove.spawners.centre import parse
from perijove.spawners.job import JobSpec, JobState, JobStatus, Reason, new_session_id
from perijove.spawners.link import Account, link_for
from perijove.spawners.tunnel import AgentAddress, Tunnel, TunnelError
from perijove.spawners.watcher import outputs_of, status_request


async def test_a_session_at_an_embedded_centre(tmp_path: Path) -> None:
    centre = parse(tomllib.loads((prepare(tmp_path) / "jinan.toml").read_text()))
    system, link = batch_system(centre), link_for(centre, Account())
    session, host_key, client_key = new_session_id("abc"), new_key(), new_key()
    agent = {
        "session": session,
        "host_key": host_key.export_private_key().decode(),
        "client_keys": [public(client_key)],
        "ports": [centre.ports.first, centre.ports.last],
        "listen": ["127.0.0.1"],
    }
    job = JobSpec(
        session,
        "compute",
        2,
        1024,
        0,
        600,
        f"{centre.paths.base}/{session}",
        (centre.environment.python, "-m", "perijove.spawners.agent", "."),
    )
    command = system.submit(job)
    tunnel = None

    async def now() -> JobStatus | None:
        past = system.history([job_id])
        assert past is not None
        request = status_request(centre, [system.status(), past], 20)
        live, ended = outputs_of(await link.launch(request), 2)
        return next(iter([*system.parse_status(live), *system.parse_history(ended)]), None)

    try:
        request: dict[str, Any] = {
            "verb": "submit",
            "session": session,
            "base": centre.paths.base,
            "argv": list(command.argv),
            "stdin": command.stdin,
            "files": {"agent.json": json.dumps(agent)},
            "timeout": 20,
        }
        job_id = system.parse_submit(outputs_of(await link.launch(request), 1)[0])
        status = await now()
        assert status is not None and (status.name, status.state) == (job.name, JobState.RUNNING)
        address = AgentAddress(session, str(status.node), (centre.ports.first, centre.ports.last), public(host_key))
        tunnel = Tunnel(link, address, client_key, local_port=0, api=("127.0.0.1", 1))

        async def opened() -> bool:
            assert tunnel is not None
            try:
                await tunnel.open()
            except TunnelError:
                return False
            return True

        await eventually(opened, seconds=60)
        await tunnel.start_server(SERVER_ARGV, {"X_TOKEN": "0123456789"}, "~")
        await eventually(lambda: tunnel.ready("/"), seconds=60)  # type: ignore[union-attr]
        await tunnel.stop_server(5)
        await tunnel.bye()

        async def over() -> JobStatus | None:
            status = await now()
            return status if status and status.state is JobState.ENDED else None

        end = await eventually(over, seconds=60)
        assert end.reason in (Reason.COMPLETED, Reason.FAILED), "it stopped by SIGTERM, as it was asked to"
        assert "0123456789" not in (Path(centre.paths.base) / session / "log").read_text()
    finally:
        if tunnel is not None:
            await tunnel.close()
        await link.close()
        clean_up(tmp_path)
