"""What the pages need to know of the gateway, in one small value, so that tests need no whole configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PagesConfig:
    """Where the hub is, and the secrets of the pages' own cookies."""

    #: The hub's API as this process reaches it, e.g. "http://127.0.0.1:8081/hub/api".
    hub_api: str
    #: The broker's token at the hub: the OAuth client secret of this service.
    client_secret: str
    #: Signs cookies; any 32 bytes or more that stay the same over restarts.
    cookie_secret: bytes
    #: The public address of the hub where it is not the address of these pages ("" for the same origin).
    hub_host: str = ""
    #: The path of the whole gateway in front of /hub and /services.
    base_url: str = "/"
    client_id: str = "service-perijove"
    #: The pages are served over https: cookies are marked Secure.
    secure: bool = False

    @property
    def prefix(self) -> str:
        """The path of the pages, without a slash at the end."""
        return f"{self.base_url}services/perijove"

    @property
    def callback(self) -> str:
        """The path to which the hub sends the browser back."""
        return f"{self.prefix}/oauth_callback"

    @property
    def authorize_url(self) -> str:
        """Where the browser signs in."""
        return f"{self.hub_host}{self.base_url}hub/api/oauth2/authorize"

    @property
    def logout_url(self) -> str:
        """Where the browser signs out of the whole gateway."""
        return f"{self.hub_host}{self.base_url}hub/logout"
