"""The reference of codes: stages, reasons, outcomes, events and kinds, with the words that people see for them."""

from __future__ import annotations

from importlib.metadata import entry_points

from perijove.hub.broker.events import MESSAGES
from perijove.hub.docs.voice import Voice, code
from perijove.hub.languages import languages
from perijove.hub.pages import words
from perijove.spawners.kinds import LAB, kind

_HEAD = (
    "The API, logs and events speak in codes; pages show words for them. This page has both, so that what a person "
    "reports and what a program sees can be told to be the same."
)
_EVENTS = "`GET /sessions/{session}/events` lists them, `perijove sessions events` prints them."
_KINDS = (
    "What runs in the job. An installed package adds a kind by an entry point in the group `perijove.kinds`; its name "
    "is what `kind` of a request says."
)


def page(voice: Voice) -> str:
    """All codes."""
    say, word = voice.say, voice.word
    stages = [[code(name), word(look.words), word(look.sentence)] for name, look in words.STAGES.items()]
    reasons = [
        [code(name) or say("(empty)"), word(text.short), f"{word(text.sentence)} {word(text.advice)}".strip()]
        for name, text in words.REASONS.items()
    ]
    events = [[code(name), languages()[voice.language].gettext(text)] for name, text in MESSAGES.items()]
    names = sorted({LAB.name, *(entry.name for entry in entry_points(group="perijove.kinds"))})
    kinds = [[code(found.name), code(found.default_url), code(" ".join(found.arguments))] for found in map(kind, names)]
    return "\n".join(
        [
            f"# {say('Reference: stages, reasons, events, kinds')}\n\n{say(_HEAD)}\n",
            f"## {say('Stages of a session')}\n\n{voice.table(('code', 'shown as', 'what it means'), stages)}",
            f"## {say('Why it waits, and how it ended')}\n",
            voice.table(("code", "shown as", "what it means"), reasons),
            f"## {say('Events')}\n\n{say(_EVENTS)}\n\n{voice.table(('code', 'what it says'), events)}",
            f"## {say('Kinds of session')}\n\n{say(_KINDS)}\n",
            voice.table(("kind", "opens at", "command, after the centre's Python"), kinds),
        ]
    )
