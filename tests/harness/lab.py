"""A JupyterLab without a gateway, over notebooks made of a few cells."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TOP = Path(__file__).parent.parent.parent


def notebook(*cells: str) -> str:
    """A notebook as text."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    rows: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{n}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for n, source in enumerate(cells)
    ]
    return json.dumps({"cells": rows, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})


@contextmanager
def jupyterlab(home: Path, language: str) -> Iterator[str]:
    """JupyterLab over the notebooks in `home`, for a person of `language`; the address, when it answers.

    Its kernels find the test doubles.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(TOP / "tests"), "PERIJOVE_LANGUAGE": language}
    # The language of JupyterLab itself, as a session sets it.
    folders = [TOP / "widgets/jupyter/zh_CN"] if language == "zh" else []
    environment |= {"JUPYTER_CONFIG_PATH": os.pathsep.join(map(str, folders))}
    argv = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    argv += ["--IdentityProvider.token=", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={home}"]
    argv += ["--KernelManager.transport=ipc"]
    # The kernels' sockets stand there: the path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="pj-") as runtime, (home / "log").open("wb") as log:
        environment["JUPYTER_RUNTIME_DIR"] = runtime
        process = subprocess.Popen(argv, cwd=home, env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 90
            while not _answers(address):
                assert process.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, (home / "log").read_text()
                threading.Event().wait(0.1)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api").status_code == 200
    except httpx.HTTPError:
        return False
