"""The gateway's own settings: one frozen model, read by the hub, the broker, the proxy's starter and the commands.

A TOML file (`deploy/perijove.toml` shows every key) says where things are; an unknown key stops the start. Secrets
do not stand in it: each is a file of mode 0600 in the state directory (0700), made on first use, so that no token
is ever typed, passed on a command line or shared between two gateways. All addresses are on 127.0.0.1 but the one
at which people reach the gateway.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from perijove.hub import secretfiles
from perijove.hub.limits import AppLimits, ClusterLimits, LaunchLimits, LedgerSettings, Retention
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

#: The broker's name as a service of the hub, and so its address below the gateway's base path.
SERVICE = "perijove"
#: The demo's own list of people: for a gateway that only this machine can reach.
DEMO = "perijove.hub.people.DemoAuthenticator"
Port = Annotated[int, Field(ge=1, le=65535)]
#: A user name as the hub keeps it: lower case; `perijove.spawners.names` says why no more is allowed.
UserName = Annotated[str, Field(pattern=r"^[^\s/%]{1,255}$")]


class BadSettings(ValueError):
    """A settings file that cannot be used; the message has every fault, one a line, with the key."""


def _path(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) and value else value


def _absolute(path: Path) -> Path:
    return path if path.is_absolute() else Path.cwd() / path


Place = Annotated[Path, BeforeValidator(_path), AfterValidator(_absolute)]


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError('an address is "http://HOST:PORT", with or without a path')
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_web_address)]


class Frozen(BaseModel):
    """A part of the settings: immutable, and an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Authenticator(Frozen):
    """Who may sign in: any JupyterHub authenticator."""

    #: An entry point of JupyterHub ("pam", "generic-oauth", ...) or "module.Class".
    name: str = Field(default="pam", pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,199}$")
    #: Everybody whom it accepts may use the gateway; otherwise only `allowed` (or what `config` says).
    allow_all: bool = False
    #: User names that may sign in, where not everybody may.
    allowed: tuple[UserName, ...] = ()
    #: Traits by class: `{GenericOAuthenticator = {client_id = "..."}}`.
    config: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)


class Settings(Frozen):
    """Where the gateway's parts are and how they reach each other."""

    #: The gateway's own files: secrets, stores, logs. Kept from start to start.
    state_dir: Place
    #: The folder of `*.toml` centre descriptions.
    centres_dir: Place
    #: The folder of the operator's apps, where `perijove apps publish` puts them; none: "apps" in the state directory.
    apps_dir: Place | None = None
    #: Where the proxy listens. Put a TLS front in front of anything but 127.0.0.1.
    bind_url: Address = "http://127.0.0.1:8000"
    #: The address people type, if that is another one (a TLS front); "" is `bind_url`.
    public_url: str = Field(default="", pattern=r"^(https?://[^\s?#]+)?$")
    #: The domain whose subdomains each belong to one person; recommended, needs a wildcard in DNS.
    subdomain_host: str = Field(default="", pattern=r"^(https?://[^\s/?#]+)?$")
    #: The hub's own port on 127.0.0.1.
    hub_port: Port = 8081
    #: The port of the proxy's own API on 127.0.0.1.
    proxy_api_port: Port = 8001
    #: The broker's own port on 127.0.0.1.
    broker_port: Port = 8082
    #: Local ports of sessions' tunnels, first and last; outside the ports the kernel gives to clients.
    session_ports: tuple[Port, Port] = (20000, 29999)
    #: The broker's store, a SQLAlchemy address; "" is a SQLite file in the state directory.
    database: str = ""
    #: The hub's store, likewise.
    hub_database: str = ""
    #: Who may sign in.
    authenticator: Authenticator = Authenticator()
    #: Operators: they see and may stop every session.
    admins: tuple[UserName, ...] = ()
    #: Account names of people at centres (TOML); none: each centre's own rule.
    identities_file: Place | None = None
    #: How much may be under way.
    launch_limits: LaunchLimits = LaunchLimits()
    #: How many Dask workers one person may have at a centre.
    cluster_limits: ClusterLimits = ClusterLimits()
    #: What people may spend.
    ledger: LedgerSettings = LedgerSettings()
    #: What is kept of runs of apps.
    apps: AppLimits = AppLimits()
    #: How long what has ended is kept.
    retention: Retention = Retention()

    @classmethod
    def load(cls, path: Path) -> Settings:
        """The settings in the TOML file `path` (or JSON, as `save` writes it); relative paths count from its folder.

        Raises:
            BadSettings: the file cannot be read, is no TOML, or has wrong or unknown keys (all are named).
        """
        try:
            text = path.read_text(encoding="utf-8")
            data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except (OSError, ValueError) as error:
            raise BadSettings(f"{path}: {error}") from None
        for key in ("state_dir", "centres_dir", "apps_dir", "identities_file"):
            if isinstance(data.get(key), str) and data[key]:
                data[key] = str(path.absolute().parent / Path(data[key]).expanduser())
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise BadSettings("\n".join(f"{path}: {line}" for line in _faults(error))) from None

    def save(self) -> Path:
        """Writes the settings into the state directory, for the processes of a gateway that has no file of them."""
        path = self.directory() / "perijove.json"
        draft = path.with_suffix(".new")
        draft.write_text(self.model_dump_json(indent=2), encoding="utf-8")
        return draft.replace(path)

    @classmethod
    def for_demo(cls, state_dir: Path, **changes: Any) -> Settings:
        """The settings of a gateway on this machine with everything below `state_dir`; `changes` replace keys."""
        given: dict[str, Any] = {
            "state_dir": state_dir,
            "centres_dir": state_dir / "centres",
            "authenticator": Authenticator(
                name=DEMO,
                allow_all=True,
                config={"DemoAuthenticator": {"people_file": str(_absolute(state_dir) / "people.json")}},
            ),
            "admins": ("operator",),
        }
        return cls.model_validate(given | changes)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        first, last = self.session_ports
        if last < first:
            raise ValueError(f"session_ports: the last ({last}) is below the first ({first})")
        if self.authenticator.name == DEMO and urlsplit(self.bind_url).hostname not in (
            "127.0.0.1",
            "localhost",
            "::1",
        ):
            raise ValueError("authenticator: the demo's people may sign in on 127.0.0.1 only (bind_url)")
        named = {"bind_url": self.proxy_port} | {
            key: int(getattr(self, key)) for key in ("hub_port", "proxy_api_port", "broker_port")
        }
        for key, port in named.items():
            if first <= port <= last:
                raise ValueError(f"{key}: port {port} is one of session_ports ({first} to {last})")
        if len(set(named.values())) < len(named):
            raise ValueError(f"two parts on one port: {', '.join(f'{k} {p}' for k, p in named.items())}")
        return self

    # --- addresses ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where people reach the gateway, without a slash at the end."""
        return (self.public_url or self.bind_url).rstrip("/")

    @property
    def base_path(self) -> str:
        """The path below which everything lies: "/", or "/jupyter/" and the like."""
        path = urlsplit(self.bind_url).path.strip("/")
        return f"/{path}/" if path else "/"

    @property
    def proxy_port(self) -> int:
        """The port of `bind_url`."""
        parts = urlsplit(self.bind_url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def proxy_address(self) -> tuple[str, int]:
        """Host and port at which this machine reaches the proxy."""
        host = urlsplit(self.bind_url).hostname or "127.0.0.1"
        # One that listens on every address ("::", or the like of it in four zeros) is reached on the loopback.
        everywhere = {"::": "::1", str(IPv4Address(0)): "127.0.0.1"}
        return everywhere.get(host, host), self.proxy_port

    @property
    def proxy_api_url(self) -> str:
        """The proxy's own API, for the hub alone."""
        return f"http://127.0.0.1:{self.proxy_api_port}"

    @property
    def hub_url(self) -> str:
        """The hub, as the proxy and this machine reach it."""
        return f"http://127.0.0.1:{self.hub_port}"

    @property
    def hub_api_url(self) -> str:
        """The hub's REST API on this machine, without a slash at the end."""
        return f"{self.hub_url}{self.base_path}hub/api"

    @property
    def broker_url(self) -> str:
        """The broker, as the proxy and this machine reach it, without a path."""
        return f"http://127.0.0.1:{self.broker_port}"

    @property
    def broker_prefix(self) -> str:
        """The path of the broker's pages: "/services/perijove/" below the base path."""
        return f"{self.base_path}services/{SERVICE}/"

    @property
    def broker_api_url(self) -> str:
        """The broker's HTTP API on this machine, without a slash at the end."""
        return f"{self.broker_url}{self.broker_prefix}api/v1"

    # --- stores, files and secrets -----------------------------------------------------------------------------

    @property
    def apps_folder(self) -> Path:
        """The folder of the operator's apps; it need not be there."""
        return self.apps_dir or self.state_dir / "apps"

    @property
    def database_url(self) -> str:
        """The broker's store."""
        return self.database or f"sqlite:///{self.state_dir / 'broker.sqlite'}"

    @property
    def hub_database_url(self) -> str:
        """The hub's store."""
        return self.hub_database or f"sqlite:///{self.state_dir / 'hub.sqlite'}"

    def directory(self, name: str = "") -> Path:
        """A folder of ours in the state directory (or that itself), made with mode 0700."""
        return secretfiles.private_directory(self.state_dir / name if name else self.state_dir)

    def secret_file(self, name: str) -> Path:
        """The file of the secret `name`, made on first use; see `perijove.hub.secretfiles`."""
        return secretfiles.ensure(self.directory(), name)

    def secret(self, name: str) -> str:
        """The secret `name`, one of `secretfiles.NAMES`: in hex, "agent_key" as an OpenSSH key."""
        return self.secret_file(name).read_text(encoding="ascii").strip() + ("\n" if name == "agent_key" else "")


def _faults(error: ValidationError) -> list[str]:
    """One line a fault: the key, what is wrong, and for an unknown key the nearest one there is."""
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in fault["loc"]) or "settings"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(fault["loc"][-1]), _keys(fault["loc"][:-1]), n=1)
            message = "there is no such key" + (f"; is {near[0]!r} meant?" if near else "")
        elif fault["type"] == "missing":
            message = "is missing"
        lines.append(f"{key}: {message}")
    return lines


def _keys(place: tuple[int | str, ...]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        "authenticator": Authenticator,
        "apps": AppLimits,
        "launch_limits": LaunchLimits,
        "cluster_limits": ClusterLimits,
        "ledger": LedgerSettings,
        "retention": Retention,
    }
    model = parts.get(str(place[0]), Settings) if place else Settings
    return list(model.model_fields)


def from_environment() -> Settings:
    """The settings in the file that PERIJOVE_CONFIG names: how the hub's and the broker's process find them.

    Raises:
        BadSettings: the variable is not set, or the file is wrong.
    """
    path = os.environ.get("PERIJOVE_CONFIG")
    if not path:
        raise BadSettings("PERIJOVE_CONFIG is not set: it names the settings file")
    return Settings.load(Path(path))
