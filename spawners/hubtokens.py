"""A server's token in the hub's store: known by its id, so that any process of the hub can revoke or renew it.

The hub keeps only hashes, and deletes only a token whose text the running process still has; after a restart a
server's token would stay valid for ever. All of JupyterHub's internals that the spawner needs are in this file.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from jupyterhub import orm
from sqlalchemy.orm import object_session


def store(orm_spawner: Any, state: dict[str, Any]) -> None:
    """Writes the spawner's state now."""
    orm_spawner.state = state
    if db := object_session(orm_spawner):
        db.commit()


def id_of(orm_spawner: Any, token: str) -> int:
    """The id of `token` in the hub's store, 0 if it is not there."""
    found = orm.APIToken.find(object_session(orm_spawner), token) if token else None
    return int(found.id) if found else 0


def revoke(orm_spawner: Any, token_id: int) -> None:
    """Deletes the token with this id if it is one of the server's person."""
    if found := _own(orm_spawner, token_id):
        db = object_session(orm_spawner)
        db.delete(found)  # type: ignore[union-attr]
        db.commit()  # type: ignore[union-attr]


def renew(spawner: Any) -> tuple[str, int]:
    """A token in place of the server's present one, with the same scopes; the old one is dead. Text and id.

    Raises:
        LookupError: the server has no token that could be renewed.
    """
    old = _own(spawner.orm_spawner, spawner.token_id)
    if old is None:
        raise LookupError(f"{spawner._log_name}: its token is not in the hub's store")
    token: str = spawner.user.new_api_token(note=old.note, scopes=list(old.scopes))
    if provider := spawner.user.settings.get("oauth_provider"):
        client = spawner.orm_spawner.oauth_client
        provider.add_client(
            spawner.oauth_client_id,
            token,
            client.redirect_uri if client else urlsplit(spawner.user.url).path + "oauth_callback",
            allowed_scopes=list(client.allowed_scopes) if client else None,
            description=client.description if client else "",
        )
    revoke(spawner.orm_spawner, spawner.token_id)
    return token, id_of(spawner.orm_spawner, token)


def _own(orm_spawner: Any, token_id: int) -> Any:
    db = object_session(orm_spawner)
    found = db.get(orm.APIToken, token_id) if db is not None and token_id else None
    return found if found is not None and found.user_id == orm_spawner.user_id else None
