"""A tiny client of the broker's HTTP API, shared by the commands; every failure is said in words.

The token comes from a file or from the environment, never from the command line, where other accounts could read it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import click
import httpx
from perijove.hub.cli.inwords import refusal
from perijove.hub.cli.words import N_, _
from perijove.spawners.visible import visible

#: Where the broker of a gateway with usual settings answers.
DEFAULT_URL = "http://127.0.0.1:8082"
PATH = "/services/perijove/api/v1"
#: The longest answer that is read, in bytes.
LONGEST = 32 << 20


class ApiFailed(click.ClickException):
    """The broker did not do what was asked: exit code 1. The message says what happened, where, and what to do."""

    exit_code = 1


class Api:
    """The broker's API at one address. `transport` is a seam for tests."""

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        base = url.rstrip("/")
        self.base = base if base.endswith("/api/v1") else base + PATH
        self._client = httpx.Client(
            headers={"Authorization": f"token {token}"}, timeout=40, transport=transport, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, method: str, path: str, **query: str | int | bool) -> Any:
        """The decoded answer of `method` on `path` ("/sessions"). Raises ApiFailed."""
        return self._ask(method, path, params=query)

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """As `call`, with `body` as JSON."""
        return self._ask(method, path, json=body)

    def save(self, path: str, place: Path, **query: str | int | bool) -> int:
        """Write the answer of GET `path` to the file `place`, whole or not at all; its bytes. Raises ApiFailed."""
        where, draft = f"{self.base}{path}", place.with_name(f"{place.name}.part")
        try:
            with self._client.stream("GET", where, params=query) as response:
                if response.status_code >= 300:
                    raise ApiFailed(_refusal(where, response, _bounded(response)))
                with draft.open("wb") as file:
                    size = sum(file.write(part) for part in response.iter_bytes())
            draft.replace(place)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiFailed(f"{self.base}: {visible(str(error) or type(error).__name__)}") from None
        except OSError as error:
            words = _("{file} cannot be written: {why}")
            raise ApiFailed(words.format(file=place, why=error.strerror or error)) from None
        finally:
            draft.unlink(missing_ok=True)
        return size

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        where = f"{self.base}{path}"
        try:
            with self._client.stream(method, where, **more) as response:
                body = _bounded(response)
        except httpx.ConnectError:
            words = _(
                "nothing answers at {address}: is the gateway running (perijove serve)? "
                "Give its address with --url or --config."
            )
            raise ApiFailed(words.format(address=self.base)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiFailed(f"{self.base}: {visible(str(error) or type(error).__name__)}") from None
        if response.status_code >= 300:
            raise ApiFailed(_refusal(where, response, body))
        if not body:
            return None
        try:
            return httpx.Response(200, content=body).json()
        except ValueError:
            words = _("{address} answered with something that is not JSON: is this a gateway's address?")
            raise ApiFailed(words.format(address=where)) from None


def _bounded(response: httpx.Response) -> bytes:
    parts, size = [], 0
    for part in response.iter_bytes():
        size += len(part)
        if size > LONGEST:
            words = _("{address} answers with more than {most} MiB: this is no gateway")
            raise ApiFailed(words.format(address=response.url, most=LONGEST >> 20))
        parts.append(part)
    return b"".join(parts)


def _refusal(where: str, response: httpx.Response, body: bytes) -> str:
    try:
        said = httpx.Response(200, content=body).json()
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    words, code = visible(refusal(said), 500), response.status_code
    if code in (401, 403):
        return _("{address} refuses this token ({why}): {how}").format(address=where, why=words or code, how=_(_HOW))
    if code == 404:
        return words or _("there is nothing at {address}").format(address=where)
    return _("{address} answered {code}: {why}").format(address=where, code=code, why=words or _("no reason given"))


_HOW = N_(
    "use the gateway's broker.token (--token-file STATE_DIR/broker.token, or --config), "
    "or a token of your own from the hub's token page in PERIJOVE_TOKEN"
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--url`, `--token-file` and `--config` to a command."""
    for option in (
        click.option("--url", help=f"The gateway's or the broker's address.  [default: {DEFAULT_URL}]"),
        click.option("--token-file", type=click.Path(path_type=Path), help="A file that holds the token."),
        click.option("--config", type=click.Path(path_type=Path), help="The gateway's settings: address and token."),
    ):
        command = option(command)
    return command


def connect(url: str | None, token_file: Path | None, config: Path | None) -> Api:
    """The API that the options mean. Raises click.UsageError where no token can be found."""
    file = token_file
    if config is not None:
        from perijove.hub.settings import BadSettings, Settings

        try:
            settings = Settings.load(config)
        except BadSettings as bad:
            raise click.UsageError(str(bad)) from None
        url, file = url or settings.broker_api_url, file or settings.state_dir / "broker.token"
    if file is None:
        token = os.environ.get("PERIJOVE_TOKEN", "")
        if not token:
            raise click.UsageError(_("no token: {how}").format(how=_(_HOW)))
    else:
        token = _token_in(file)
    if not token.isascii() or not token.isprintable() or not 8 <= len(token) <= 4096:
        raise click.UsageError(_("this is no token: {how}").format(how=_(_HOW)))
    return Api(url or os.environ.get("PERIJOVE_URL", DEFAULT_URL), token)


def _token_in(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(5000).decode("ascii", "replace").strip()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}; {_(_HOW)}") from None
