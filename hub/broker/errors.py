"""The API's errors: always {"error": code, "message", "faults"}, never a trace, never 500 for what a centre said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from perijove.hub.broker.runfiles import MOST_FILE
from perijove.hub.broker.sessions import NoPort, TooMany
from perijove.hub.broker.views import fault_view
from perijove.spawners.request import BadRequest
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Bytes of a request's body.
MOST_BODY = 1 << 20


class Refusal(Exception):
    """The API says no."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        faults: Sequence[dict[str, Any]] = (),
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.status, self.code, self.message, self.faults, self.values = status, code, message, faults, values
        super().__init__(f"{status} {code}: {message}")


def answer(
    status: int,
    code: str,
    message: str,
    faults: Sequence[dict[str, Any]] = (),
    values: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """The answer to a request that is refused; `values` are what the words of another language need."""
    body: dict[str, Any] = {"error": code, "message": message[:2000], "faults": list(faults)[:100]}
    if values is not None:
        body["values"] = dict(values)
    return JSONResponse(body, status_code=status)


def install(app: FastAPI, prefix: str) -> None:
    """Have all errors below `prefix` answered in this way."""

    @app.exception_handler(Refusal)
    async def _refused(request: Request, error: Refusal) -> JSONResponse:
        return answer(error.status, error.code, error.message, error.faults, error.values)

    @app.exception_handler(BadRequest)
    async def _bad(request: Request, error: BadRequest) -> JSONResponse:
        return answer(400, "bad-request", str(error), [fault_view(fault) for fault in error.faults])

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            {"field": str(e["loc"][-1])[:100], "code": e["type"].replace("_", "-"), "message": e["msg"], "values": {}}
            for e in error.errors()[:100]
        ]
        words = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults)
        return answer(400, "bad-request", words, faults)

    @app.exception_handler(TooMany)
    async def _too_many(request: Request, error: TooMany) -> JSONResponse:
        return answer(409, "too-many", "you have as many sessions as one person may have; stop one first")

    @app.exception_handler(NoPort)
    async def _no_port(request: Request, error: NoPort) -> JSONResponse:
        return answer(503, "gateway-full", "the gateway has no free port for another session")

    @app.exception_handler(SQLAlchemyError)
    async def _store(request: Request, error: SQLAlchemyError) -> JSONResponse:
        return answer(503, "store", "the gateway's store cannot be used now; try again")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not-found", 405: "method-not-allowed"}
        return answer(error.status_code, codes.get(error.status_code, "error"), str(error.detail))


class BoundedBody:
    """Refuses bodies of more than `MOST_BODY` bytes before they are read; of `MOST_FILE` where a file is `PUT`."""

    def __init__(self, app: ASGIApp, files: re.Pattern[str] | None = None) -> None:
        self.app = app
        self.files = files

    def _most(self, scope: Scope) -> int:
        file = self.files is not None and scope["method"] == "PUT" and self.files.match(scope["path"])
        return MOST_FILE if file else MOST_BODY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self._most(scope)
        length = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        if length.isdigit() and int(length) > most:
            refusal = answer(413, "too-large", f"a request has at most {most} bytes")
            await refusal(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise Refusal(413, "too-large", f"a request has at most {most} bytes")
            return message

        await self.app(scope, counted, send)
