"""`CentreSpawner`: the hub's thin client of the broker. It starts nothing itself and asks no batch system.

The broker owns the session; the hub owns the person's login, the route and the token. What this class is careful
about is the hub's habit of stopping what it does not understand:

- `poll` answers "running" when the broker is silent, and at the start of the hub waits until the broker is sure:
  the hub would stop a server that does not answer within `http_timeout`.
- `stop` ends the session only if somebody asked the hub to (`_stop_future` is set by the hub's handlers). When the
  hub gives up by itself, the session lives on, and the broker asks the hub to start its server again.
- State is stored before the broker is asked, not only after `start` returns, and holds the id of the server's token
  in the hub's store (never the token): with it the token is revoked even if another process made it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

from perijove.spawners import hubtokens, options, progress
from perijove.spawners.client import BrokerClient, BrokerError, BrokerRefused, BrokerUnreachable, Session, client_for
from perijove.spawners.environment import server_environment, way_to_gateway
from perijove.spawners.kinds import kind
from perijove.spawners.names import oauth_client_id
from perijove.spawners.progress import SessionEnded
from perijove.spawners.session import Stage
from perijove.spawners.thin import ThinSpawner
from traitlets import Unicode, default

#: Seconds between two questions while the broker is silent.
PATIENCE = 2.0
#: Seconds for which `stop` waits that the broker confirms the end.
STOP_WAIT = 60.0


class CentreSpawner(ThinSpawner):
    """A person's server as a session of the broker."""

    broker_url = Unicode(help="The broker's API, up to /api/v1.").tag(config=True)
    broker_token_file = Unicode(help="The file with the token that the broker accepts from the hub.").tag(config=True)
    start_page = Unicode("/services/perijove/start", help="Where a person chooses centre and resources.").tag(
        config=True
    )
    api_path = Unicode("/services/perijove/api/v1", help="The path of the broker's API at the gateway.").tag(
        config=True
    )
    gateway_host = Unicode(help="The Host header for the hub and its services; only where people have domains.").tag(
        config=True
    )
    ip = Unicode("127.0.0.1", help="Sessions are reached through a tunnel that ends here.").tag(config=True)

    session_id = ""
    token_id = 0
    #: The hub's store says that the server ran, and this process has not seen it yet.
    _restored = False
    #: What the broker says after a restart of the hub.
    _address = ""
    #: The hub is to forget the server; the broker will ask it to start it again.
    _handed_back = False

    def __init__(self, **given: Any) -> None:
        if given.get("user") is not None and given.get("orm_spawner") is not None:
            given["oauth_client_id"] = oauth_client_id(given["user"].name, given["orm_spawner"].name)
        super().__init__(**given)

    @default("options_form")
    def _form(self) -> Any:
        return options.form

    def get_env(self) -> dict[str, str]:
        """What the hub gives to the server, where the person starts the session that follows, and the way here."""
        given: dict[str, str] = super().get_env()
        way = way_to_gateway(self.api_path, self.gateway_host, self.user.host)
        return given | way | {"PERIJOVE_START_PAGE": self.start_page}

    @property
    def broker(self) -> BrokerClient:
        """This process's client of the broker."""
        return client_for(self.broker_url, self.broker_token_file)

    # --- the doors ---------------------------------------------------------------------------------------------

    def options_from_form(self, form_data: Mapping[str, Any]) -> dict[str, Any]:
        """The form's door. Raises `SpawnException` (400) with every fault."""
        return options.checked(form_data)

    def options_from_query(self, query_data: Mapping[str, Any]) -> NoReturn:
        """A link never spends: it leads to the start page, filled in."""
        raise options.ToStartPage(self.start_page, query_data)

    # --- life --------------------------------------------------------------------------------------------------

    async def start(self) -> str:
        """Starts or adopts the session and waits until it is ready, however long its queue is.

        Raises:
            SpawnException: refused (400), or the session ended first; the page says why.
        """
        options.check_server_name(self.name)
        wanted = options.for_start(self.user_options)
        self.token_id = hubtokens.id_of(self.orm_spawner, self.api_token)
        self._store_state()
        session = await self._hand_over(wanted)
        self.session_id = str(session["id"])
        self._store_state()
        seen = 0
        while session["stage"] != "ready" or not session.get("url"):
            if session["stage"] == "ended":
                raise SessionEnded(session)
            if session.get("needs_environment"):
                session = await self._hand_over({"session": self.session_id})
                continue
            session, seen = await self._after_news(session, seen)
        return str(session["url"])

    async def _hand_over(self, wanted: Mapping[str, Any]) -> Session:
        """The session of this server, now with this server's environment; asks until the broker answers."""
        named = kind(str(wanted.get("kind") or await self._kind_of(wanted)))
        environment = server_environment(self.get_env(), named)
        while True:
            try:
                return await self.broker.put(
                    self.user.name, self.name, wanted, environment, (*named.arguments, *self.args)
                )
            except BrokerRefused as refused:
                raise options.refusal(refused.words, refused.code) from None
            except BrokerUnreachable as silence:
                self.log.warning("%s: the broker is silent (%s); asking again", self._log_name, silence)
                await asyncio.sleep(PATIENCE)

    async def _kind_of(self, wanted: Mapping[str, Any]) -> str:
        """The kind of a session that is named by its id; "lab" where none is named."""
        if "session" not in wanted:
            return "lab"
        while True:
            try:
                session = await self.broker.get(str(wanted["session"]))
            except BrokerUnreachable:
                await asyncio.sleep(PATIENCE)
                continue
            if session is None or (session["owner"], session["server"]) != (self.user.name, self.name):
                raise options.refusal("there is no such session of this server", "no-session")
            if session["stage"] == "ended":
                raise SessionEnded(session)
            return str(session["kind"])

    async def _after_news(self, session: Session, seen: int) -> tuple[Session, int]:
        """The session once something has happened to it (or a long poll's time is over)."""
        try:
            news = await self.broker.events(str(session["id"]), seen)
            found = await self.broker.get(str(session["id"]))
        except BrokerUnreachable:
            await asyncio.sleep(PATIENCE)
            return session, seen
        if found is None:
            raise options.refusal("the broker does not know this session any more", "no-session")
        return found, news.last

    async def poll(self) -> int | None:
        """None while the session lives or nothing is known of it; 1 once it has ended."""
        if self._handed_back:
            return 1
        if self._restored:
            return await self._first_poll()
        try:
            session = await self.broker.by_name(self.user.name, self.name)
            if session is not None and session["stage"] != "ended" and session.get("needs_environment"):
                await self._renew()
        except BrokerError as error:
            self.log.warning("%s: nothing is known of the session: %s", self._log_name, error)
            return None
        return 1 if session is None or session["stage"] == "ended" else None

    async def _first_poll(self) -> int | None:
        """The hub has just come up: answer only once it is certain what became of the session."""
        while True:
            try:
                session = await self.broker.by_name(self.user.name, self.name)
                if session is not None and _half_started(session):
                    session = await self._hand_back(session)
            except BrokerError as error:
                self.log.warning("%s: waiting for the broker's word: %s", self._log_name, error)
                session = {"stage": ""}
            if self._handed_back or session is None or session["stage"] == "ended":
                self._restored = False
                return 1
            if session["stage"] == "ready" and session.get("connected"):
                self._restored = False
                self.session_id, self._address = str(session["id"]), str(session.get("url") or "")
                return None
            await asyncio.sleep(PATIENCE)

    async def _hand_back(self, session: Session) -> Session:
        """A session without a server: the hub forgets its half of the start, and the broker has it made anew.

        The token of that half start must not reach the job any more, so it is withdrawn first; a job that began
        meanwhile has it already, and then the server stays as it is.
        """
        session = await self.broker.put(self.user.name, self.name, {"session": session["id"]}, {}, ())
        self._handed_back = _half_started(session)
        return session

    async def get_url(self) -> str:
        """Where the broker says the session is: the hub may have died before it had written that down."""
        if self._address:
            return self._address.rstrip("/") + str(self.server.base_url)
        return str(await super().get_url())

    async def _renew(self) -> None:
        """A new environment for a job that was requeued, or whose environment a broker lost with its memory."""
        token, self.token_id = hubtokens.renew(self)
        self.api_token = token
        self._store_state()
        session = await self.broker.get(self.session_id) or {}
        named = kind(str(session.get("kind") or "lab"))
        environment = server_environment(self.get_env(), named)
        try:
            await self.broker.put(
                self.user.name, self.name, {"session": self.session_id}, environment, (*named.arguments, *self.args)
            )
        except BrokerRefused as refused:
            self.log.warning("%s: the broker takes no environment: %s", self._log_name, refused)

    async def stop(self, now: bool = False) -> None:
        """Ends the session if somebody asked for that; waits, bounded, until the broker says that it ended.

        Raises:
            SpawnException: the broker is silent, so that nothing was stopped (503).
        """
        if getattr(self, "_stop_future", None) is None and self.user.name not in self.authenticator.blocked_users:
            self.log.warning("%s: the hub gave up; the session goes on at its centre", self._log_name)
            return
        deadline = asyncio.get_running_loop().time() + STOP_WAIT
        asked = False
        while asyncio.get_running_loop().time() < deadline:
            try:
                session = await self.broker.by_name(self.user.name, self.name)
                if session is None or session["stage"] == "ended":
                    return
                if not asked:
                    await self.broker.stop(str(session["id"]))
                    asked = True
                if now:
                    return
                await self.broker.events(str(session["id"]), int(session.get("last_event", 0)), wait=5)
            except BrokerUnreachable:
                pass
            await asyncio.sleep(0.5)
        if not asked:
            raise options.refusal("the broker does not answer: try again to stop the session", "broker", 503)

    def run_post_stop_hook(self) -> Any:
        """The hub deletes only a token that this process made; this one knows the others by their id."""
        hubtokens.revoke(self.orm_spawner, self.token_id)
        self.token_id = 0
        return super().run_post_stop_hook()

    # --- what the hub stores ------------------------------------------------------------------------------------

    def load_state(self, state: dict[str, Any]) -> None:
        """Called when the hub comes up, and for a server that is started for the first time (with {})."""
        super().load_state(state)
        self.session_id = str(state.get("session", ""))
        self.token_id = int(state.get("token_id", 0))
        self._restored = bool(self.orm_spawner is not None and self.orm_spawner.server)

    def get_state(self) -> dict[str, Any]:
        """The session's id and the id of the server's token; no secret."""
        state: dict[str, Any] = super().get_state()
        known = {"session": self.session_id, "token_id": self.token_id}
        return state | {key: value for key, value in known.items() if value}

    def clear_state(self) -> None:
        """Forgets the session; called before a start and after the end."""
        super().clear_state()
        self.session_id = ""
        self.token_id = 0
        self._restored = False

    def _store_state(self) -> None:
        hubtokens.store(self.orm_spawner, self.get_state())

    # --- what the person sees -----------------------------------------------------------------------------------

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The broker's events from the first on, so that a reload loses none; ends with the session's readiness."""
        async for event in progress.events(self.broker, lambda: self.session_id):
            yield event


def _half_started(session: Session) -> bool:
    """Its server has no environment yet: not asked for, or its agent waits for one that died with the hub."""
    return Stage(session["stage"]).before_server or bool(session.get("needs_environment"))
