"""Of a Jupyter server nothing is open but the app's page and what it needs."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from doubles.run_broker import TOKEN
from harness.app_session import AppServer
from hypothesis import given
from hypothesis import strategies as st
from perijove.widgets.appgate import is_open
from perijove.widgets.appsocket import message_type
from websockets.sync.client import connect

KERNEL = "0f7c1d2e-aaaa-bbbb-cccc-0123456789ab"
_CLOSED = """
GET api/contents, GET api/contents/app.ipynb, PUT api/contents/x, GET files/app.ipynb, GET files/pipeline.py,
GET voila/files/pipeline.py, GET voila/files/app.ipynb, GET voila, GET voila/tree, GET voila/tree/, GET
voila/api/contents, GET voila/api/contents/, GET tree, GET lab, GET edit/app.ipynb, GET view/app.ipynb, GET
notebooks/app.ipynb, GET nbconvert/html/app.ipynb, GET nbconvert/script/app.ipynb, POST nbconvert/html, GET
api/nbconvert, GET api/kernels, POST api/kernels, DELETE api/kernels/KERNEL, POST api/kernels/KERNEL/restart,
POST api/kernels/KERNEL/interrupt, GET api/kernelspecs, GET kernelspecs/python3/logo-64x64.png, GET
api/sessions, POST api/sessions, GET api/terminals, POST api/terminals, GET terminals/websocket/1, GET
api/config/notebook, POST api/shutdown, GET api/me, GET api/spec.yaml, GET metrics, GET api/events/subscribe,
GET static/base/js/namespace.js, GET custom/custom.css, GET static/../app.ipynb, GET
voila/page/../../app.ipynb, GET voila/render/../files/pipeline.py, GET voila/render/pipeline.py, GET
voila/render/x/app.ipynb, GET voila/render/app.ipynb/x, GET voila/render/..%2f..%2fpipeline.py, GET
voila/templates/perijove/static/../../../../conf.json, GET perijove/../api/contents, GET
perijove//../api/contents, GET lab/api/settings, GET api/security/csp-report
"""
CLOSED = [one.strip().replace("KERNEL", KERNEL) for one in _CLOSED.replace("\n", " ").split(",")]


@pytest.mark.parametrize("asked", CLOSED)
def test_everything_of_a_jupyter_server_that_an_app_does_not_need_is_not_there(
    app_session: AppServer, asked: str
) -> None:
    method, path = asked.split()
    # httpx would tidy the path up: what is sent is what is written here.
    address = httpx.URL(app_session.address)
    request = httpx.Request(method, address, headers={"Authorization": f"token {TOKEN}"})
    request.url = address.copy_with(raw_path=address.raw_path + path.encode())
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.send(request)
    assert answer.status_code in (403, 404), answer.text
    assert "pipeline" not in answer.text and "logistic" not in answer.text


def test_nobody_comes_in_without_the_token(app_session: AppServer) -> None:
    paths = ("voila/render/app.ipynb", "perijove/app", "perijove/runs", "perijove/files", f"api/kernels/{KERNEL}")
    for path in paths:
        answer = httpx.get(app_session.address + path, trust_env=False, timeout=30)
        assert answer.status_code in (302, 401, 403), path


def test_the_root_leads_to_the_page_and_the_root_folder_has_the_notebook_alone(app_session: AppServer) -> None:
    # Its kind says where (`default_url`), which the hub hands over; this server has no hub.
    assert app_session.ask("GET", "").status_code in (200, 302)
    log = app_session.log.read_text()
    folder = log.partition("local directory: ")[2].split()[0]
    assert [path.name for path in Path(folder).iterdir()] == ["app.ipynb"]


@given(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]), st.text(max_size=60))
def test_no_path_of_contents_or_files_is_open_however_it_is_written(method: str, tail: str) -> None:
    for start in ("api/contents", "files", "nbconvert", "api/terminals", "voila/files", "voila/tree", "tree"):
        assert not is_open(method, f"{start}/{tail}")
    assert not is_open(method, f"perijove/../{tail}")
    assert is_open(method, f"api/kernels/{tail}") is (method == "GET" and is_kernel(tail))


def is_kernel(tail: str) -> bool:
    """Whether `tail` is an id in plain letters, or its channels."""
    try:
        return str(uuid.UUID(tail.removesuffix("/channels"))) == tail.removesuffix("/channels")
    except ValueError:
        return False


def message(kind: str, content: dict[str, Any]) -> str:
    header = {"msg_id": uuid.uuid4().hex, "session": "s", "username": "", "date": "", "version": "5.3"}
    header |= {"msg_type": kind}
    parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "buffers": []}
    return json.dumps(parts | {"channel": "shell"})


def test_a_page_cannot_have_the_kernel_run_code(app_session: AppServer) -> None:
    page = app_session.ask("GET", "voila/render/app.ipynb").text
    kernel = page.partition('"kernelId": "')[2].partition('"')[0]
    address = f"{app_session.address}api/kernels/{kernel}/channels".replace("http:", "ws:")
    code = {"code": "import os; os.environ['SEEN'] = '1'; print('ran')", "silent": False, "store_history": False}
    with connect(address, additional_headers={"Authorization": f"token {TOKEN}"}, proxy=None) as socket:
        socket.send(message("execute_request", code | {"user_expressions": {}, "allow_stdin": False}))
        socket.send(message("complete_request", {"code": "os.", "cursor_pos": 3}))
        socket.send(message("kernel_info_request", {}))
        seen = []
        while "kernel_info_reply" not in seen:
            seen.append(message_type(socket.recv(30)))
    assert not {"execute_reply", "execute_input", "stream", "complete_reply"} & set(seen)


@given(st.one_of(st.text(), st.binary(max_size=200)))
def test_whatever_comes_as_a_message_has_a_type_or_none(raw: str | bytes) -> None:
    assert isinstance(message_type(raw), str)


def test_the_type_of_a_binary_message_is_read_and_no_count_in_it_is_believed() -> None:
    parts = [b"shell", b'{"msg_type": "comm_msg"}', b"{}", b"{}", b"{}"]
    offsets, place = [], 8 * (len(parts) + 2)
    for part in parts:
        offsets.append(place)
        place += len(part)
    offsets.append(place)
    numbers = [len(offsets), *offsets]
    assert message_type(b"".join(n.to_bytes(8, "little") for n in numbers) + b"".join(parts)) == "comm_msg"
    assert message_type(b"\xff" * 64) == ""
