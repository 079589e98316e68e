"""Troubleshooting: each message that a person can see, what it means and what to do, under an anchor of its code.

The messages come from where they are shown (`hub/pages/words.py`, `operatorwords.py` and the catalogue, the API's
refusals); what to do is written by hand, in `advice.en.toml` and `advice.zh.toml`: a table per group, an entry per
code. The anchor of a code is GROUP-CODE ("reason-resources", "fault-too-much-cores"); pages link to
`help/troubleshooting#GROUP-CODE`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from perijove.hub.broker.files import WORDS
from perijove.hub.docs.voice import Voice
from perijove.hub.pages import words
from perijove.hub.pages.operatorwords import PROBLEMS

#: What a code looks like; where the source passes one on there is none to read.
_CODE = re.compile(r"[a-z]+(-[a-z]+)*")


@cache
def advice(language: str) -> Mapping[str, Any]:
    """What to do, by group and code."""
    text = (files("perijove.hub.docs") / f"advice.{language}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def groups(voice: Voice) -> dict[str, dict[str, tuple[str, str]]]:
    """Every group, and of each code in it what is shown: a heading, and a sentence (or "")."""
    word = voice.word
    return {
        "reason": {code: (word(text.short), word(text.sentence)) for code, text in words.REASONS.items()},
        "fault": {code: (word(text), "") for code, text in words.FAULTS.items()},
        "page": {code: (word(text.short), word(text.sentence)) for code, text in words.ERRORS.items()},
        "api": {code: (message, "") for code, message in refusals().items()},
        "link": {code: ("", word(text.sentence)) for code, text in PROBLEMS.items()},
    }


def anchor(group: str, code: str) -> str:
    """The anchor of a code on the page."""
    return f"{group}-{code or 'none'}"


def page(voice: Voice) -> str:
    """Everything that can be shown, and what to do about it."""
    said = advice(voice.language)
    parts = [f"# {said['title']}\n\n{said['intro'].strip()}\n"]
    for group, codes in groups(voice).items():
        parts.append(f"\n## {said[group]['title']}\n\n{said[group]['intro'].strip()}\n")
        shown: dict[tuple[str, str, str], list[str]] = {}
        for code, (short, sentence) in codes.items():
            help_ = str(said[group]["codes"].get(code or "none", "")).strip()
            shown.setdefault((short, sentence, help_), []).append(f"`{anchor(group, code)}`")
        for (short, sentence, help_), anchors in shown.items():
            quote = f"\n> {sentence}\n" if sentence else ""
            parts.append(f"\n### {' '.join(filter(None, [short, *anchors]))}\n{quote}\n{help_}\n")
    return "".join(parts)


@cache
def refusals() -> Mapping[str, str]:
    """Every code with which the API refuses a request as a whole, and the message of the first place that says so.

    Read from the source: `Refusal(status, code, message)` and `answer(status, code, message)`; those of files have a
    table of their own.
    """
    found: dict[str, str] = {}
    for file in sorted(files("perijove.hub.broker").iterdir(), key=lambda path: path.name):
        if not file.name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Refusal", "answer"):
                code, message = (_text(argument) for argument in node.args[1:3]) if len(node.args) > 2 else ("", "")
                if _CODE.fullmatch(code) and code not in found:
                    found[code] = message
    return found | {code: words for code, (_status, words) in WORDS.items() if code not in found}


def _text(node: ast.expr) -> str:
    """A text as it stands in the source; a value in it is an ellipsis."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "…"
