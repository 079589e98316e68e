"""The kinds of value in a centre's description: what each accepts, and what a message says is allowed.

Written apart from the models of `perijove.spawners.centre`, which are to be read as the list of what can be said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from perijove.spawners.units import credits_from, memory_from, time_from
from perijove.spawners.visible import is_unseen, visible
from pydantic import AfterValidator, BeforeValidator, Field

#: A word that stands in a directive or a command as it is: no white space, quotes, shell or template characters.
WORD = r"[A-Za-z0-9_][A-Za-z0-9_.:@+/-]{0,127}"
Word = Annotated[str, Field(pattern=f"^{WORD}$")]
#: A command: its name or its absolute path.
Program = Annotated[str, Field(pattern=f"^/?{WORD}$")]
#: The id of a centre or queue in links and in the store.
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
#: What pays for a session: a person's, a project's or a course's budget; "": the person's own.
BudgetKey = Annotated[
    str, Field(max_length=280, pattern=r"^(person:[^\s/%]{1,255}|(project|course):[a-z][a-z0-9-]{0,31})?$")
]
#: An account name at a centre.
ACCOUNT = r"[A-Za-z_][A-Za-z0-9_.-]{0,63}"
#: MiB; written as a number of MiB or as "64G".
Memory = Annotated[int, BeforeValidator(memory_from, json_schema_input_type=int | str), Field(ge=1, le=2**40)]
#: Seconds; written as a number of seconds or as "90m", "2h", "3d", "1-12:00:00".
Duration = Annotated[int, BeforeValidator(time_from, json_schema_input_type=int | str), Field(ge=60, le=366 * 86400)]
#: Micro-credits; written in credits, as a decimal number or string.
Credits = Annotated[int, BeforeValidator(credits_from, json_schema_input_type=float | str), Field(ge=0, le=10**15)]


def _absolute(path: str) -> str:
    """A path at a centre: absolute or under `~/`, of plain characters, `{account}` for the person's account name."""
    if len(path) > 1000 or not re.fullmatch(r"(~|(~/|/)([A-Za-z0-9_.+@/-]|\{account\})*)", path):
        raise ValueError("a path starts with / or ~/ and has letters, digits, _ . + @ - and {account} only")
    if ".." in path.split("/"):
        raise ValueError("a path has no '..' in it")
    return path


def _host_key(key: str) -> str:
    """One line of a public key, as in a `.pub` file; the comment behind it is dropped."""
    import asyncssh

    words = key.split()
    if len(words) > 2 and words[1].startswith(("ssh-", "ecdsa-", "sk-")):
        raise ValueError("a host key begins with its type (ssh-ed25519 ...): leave out the host name before it")
    try:
        asyncssh.import_public_key(" ".join(words[:2]))
    except (asyncssh.KeyImportError, ValueError):
        raise ValueError('a host key is a public key such as "ssh-ed25519 AAAAC3...", as in a .pub file') from None
    return " ".join(words[:2])


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _for_people(text: str) -> str:
    """Words that can be shown: nothing in them hides or reorders what is seen."""
    unseen = next((c for c in text if c != "\n" and is_unseen(c)), "")
    if unseen:
        raise ValueError(f"the character {visible(unseen)} cannot be seen: leave it out")
    return text


Path = Annotated[str, AfterValidator(_absolute)]
#: Words for people.
Words = Annotated[str, AfterValidator(_for_people)]
#: The public key of a login node.
HostKey = Annotated[str, AfterValidator(_host_key)]
Regular = Annotated[str, AfterValidator(_regular)]
#: What the patterns allow, in words.
PATTERNS = {
    f"^{WORD}$": "a word of letters, digits and _ . : @ + / -",
    f"^/?{WORD}$": "the name of a command or its absolute path",
    r"^[a-z][a-z0-9-]{0,31}$": "a lower-case letter, then up to 31 lower-case letters, digits and hyphens",
    rf"^({ACCOUNT})?$": "an account name: a letter or _, then letters, digits and _ . -",
    r"^(/[^\x00-\x1f\x7f]{1,1000})?$": "an absolute path",
    r"^([A-Za-z0-9][A-Za-z0-9.:-]{0,252})?$": "a host name or an address",
    r"^-{1,2}[A-Za-z0-9][A-Za-z0-9_.:@+/=,-]{0,200}$": 'one option as a word, such as "--qos=normal"',
    r"^[^\r\n\x00]{1,500}$": "one line of at most 500 characters",
}


def inconsistencies(raw: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """What does not go together in a description, as key path and words; `raw` may be wrong in any other way, too."""
    scheduler, login = (part if isinstance(part := raw.get(key), Mapping) else {} for key in ("scheduler", "login"))
    faults: list[tuple[tuple[str | int, ...], str]] = []
    identity, local = login.get("identity", "self"), scheduler.get("system") == "local"
    if not local:
        if not login.get("host"):
            faults.append(
                (("login", "host"), "is missing: every centre but a `local` one is reached by its login node")
            )
        if not login.get("host_keys"):
            faults.append(
                (("login", "host_keys"), "is missing: give the login node's public host key (ssh-keyscan, then check)")
            )
    elif identity != "self":
        faults.append((("login", "identity"), 'a `local` centre has identity = "self"'))
    if identity == "sudo" and login.get("launcher") is None:
        faults.append((("login", "launcher"), 'is missing: identity "sudo" runs exactly that program'))
    if identity in ("sudo", "community") and not login.get("account"):
        faults.append((("login", "account"), f'is missing: identity "{identity}" needs the account to log in with'))
    for part in ("queues", "datasets"):
        faults += _twice(raw, part)
    warm, queues = raw.get("warm"), raw.get("queues")
    if isinstance(warm, Mapping) and warm.get("number"):
        if identity in ("key", "sudo"):
            words = f'is for accounts that all share: with identity "{identity}" nobody can wait for somebody else'
            faults.append((("warm", "number"), words))
        names = [queue.get("name") for queue in queues or () if isinstance(queue, Mapping)]
        if (queue := warm.get("queue")) is not None and queue not in names:
            faults.append((("warm", "queue"), "is no queue of this centre"))
    return faults


def _twice(raw: Mapping[str, Any], part: str) -> list[tuple[tuple[str | int, ...], str]]:
    """A fault for each entry of the list `part` whose name an earlier one has."""
    entries = raw.get(part)
    seen: set[str] = set()
    faults: list[tuple[tuple[str | int, ...], str]] = []
    for index, entry in enumerate(entries if isinstance(entries, list | tuple) else ()):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if isinstance(name, str) and name in seen:
            faults.append(((part, index, "name"), f"{visible(name, 40)!r} is the name of an earlier one, too"))
        seen.add(str(name))
    return faults
