"""References of files: the gateway's settings, a centre's description and an app's manifest, from their models."""

from __future__ import annotations

import inspect
import re
from functools import cache

from perijove.hub.docs.voice import Voice
from perijove.hub.settings import Settings
from perijove.spawners.apps.manifest import App
from perijove.spawners.centre import Centre
from perijove.spawners.centrereference import keys
from pydantic import BaseModel

_SETTINGS = (
    "The file that `perijove serve --config FILE` reads, in TOML; `deploy/perijove.toml` in the repository is an "
    "annotated example. An unknown key stops the start. Relative paths count from the file's folder. No secret stands "
    "in it: secrets are files of mode 0600 in `state_dir`, made by themselves."
)
_CENTRE = (
    "One TOML file per centre, in the folder that `centres_dir` of the settings names; `deploy/centres` in the "
    "repository has annotated examples for every batch system. `perijove config check` reports every fault with its "
    "line, and an unknown key is a fault."
)
_APP = (
    "The manifest of an app, in the app's folder; [Write an app](write-app.md) explains it. `perijove apps validate` "
    "reports every fault with its line, and an unknown key is a fault. `NAME` stands for a name of your own: "
    "lower-case letters, digits, `_` and `-`. A file is a path below the app's folder."
)
_AMOUNTS = (
    'Memory is written as `"64G"` or a number of MiB, time as `"90m"`, `"2h"`, `"3d"`, `"1-12:00:00"` or a number of '
    "seconds, money in credits with at most six decimal places. Texts for people have an English and a Chinese "
    'version: `{ en = "...", zh = "..." }`.'
)


@cache
def _comments(model: type[BaseModel]) -> dict[str, str]:
    """The `#:` comments above the fields of a model."""
    found: dict[str, str] = {}
    words: list[str] = []
    for line in inspect.getsource(model).splitlines():
        text = line.strip()
        if text.startswith("#:"):
            words.append(text.removeprefix("#:").strip())
        else:
            if (name := re.match(r"(\w+): ", text)) and words:
                found[name[1]] = " ".join(words)
            words = []
    return found


def comment(model: type[BaseModel], key: str) -> str:
    """What the `#:` comment above a field says, or nothing."""
    return _comments(model).get(key, "")


def settings(voice: Voice) -> str:
    """The page of the keys of perijove.toml."""
    title = voice.say("Reference: the gateway's settings")
    return f"# {title}\n\n{voice.say(_SETTINGS)}\n{keys(Settings, voice.say, comment)}"


def centre(voice: Voice) -> str:
    """The page of the keys of a centre's description."""
    title = voice.say("Reference: a centre's description")
    return f"# {title}\n\n{voice.say(_CENTRE)}\n\n{voice.say(_AMOUNTS)}\n{keys(Centre, voice.say)}"


def app(voice: Voice) -> str:
    """The page of the keys of app.toml."""
    title = voice.say("Reference: an app's manifest")
    return f"# {title}\n\n{voice.say(_APP)}\n\n{voice.say(_AMOUNTS)}\n{keys(App, voice.say)}"
