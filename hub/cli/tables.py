"""Tables of text for a terminal: columns aligned also where Chinese characters are two cells wide."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

from perijove.spawners.visible import visible


def width(text: str) -> int:
    """Cells of a terminal that `text` takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def padded(text: str, wide: int) -> str:
    """`text` with blanks behind it, so that it takes `wide` cells."""
    return text + " " * (wide - width(text))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], limit: int = 48) -> str:
    """Rows under a head; each cell is made visible and cut to `limit` characters."""
    cells = [list(head), *([visible("" if cell is None else cell, limit) for cell in row] for row in rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(padded(cell, wide) for cell, wide in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def as_json(value: Any) -> str:
    """`value` as JSON for programs."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
