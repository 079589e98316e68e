"""The colours of the stylesheet can be read, in light and in dark (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parent.parent.parent / "hub/pages/static/perijove.css").read_text()
STATES = ("ok", "wait", "move", "bad", "calm")
#: Letters, what they stand on, and the least contrast.
PAIRS = [
    *((text, on, 4.5) for text in ("ink", "quiet", "action", "accent") for on in ("paper", "surface", "sunken")),
    *((state, f"{state}-bg", 4.5) for state in STATES),
    *((state, "surface", 4.5) for state in ("bad", "wait")),
    *(("ink", f"{state}-bg", 4.5) for state in STATES),
    ("on-action", "action", 4.5),
    ("on-action", "action-strong", 4.5),
    *((edge, ground, 3.0) for edge in ("edge", "focus") for ground in ("paper", "surface")),
]


def colours(theme: str) -> dict[str, str]:
    """The colours of a theme by name."""
    block = CSS.split(f'[data-bs-theme="{theme}"] {{')[1].split("}")[0]
    return {name: "#" + "".join(c * (2 if len(c6) == 3 else 1) for c in c6) for name, c6 in _found(block)}


def _found(block: str) -> list[tuple[str, str]]:
    return re.findall(r"--pj-([a-z-]+): #([0-9a-f]{6}|[0-9a-f]{3});", block)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground", "least"), PAIRS)
def test_each_pair_of_colours_has_contrast(theme: str, text: str, ground: str, least: float) -> None:
    known = colours(theme)
    assert contrast(known[text], known[ground]) >= least


def test_both_themes_have_the_same_colours_and_no_rule_has_one_of_its_own() -> None:
    assert set(colours("light")) == set(colours("dark"))
    rules = CSS.split("/* Type:")[1]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;, )])", rules) == []
