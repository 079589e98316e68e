"""How far a step is: read off a program's output, or said by a function of the pipeline.

Pure but for `report`, which writes to the descriptor that the engine gave a function's process.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass

#: Holds the number of the descriptor on which a function's process tells how far it is.
CHANNEL = "PERIJOVE_STEP_CHANNEL"


@dataclass(frozen=True)
class Progress:
    r"""How a program's lines say how far it is, e.g. `Progress(r"Time = (?P<done>[\d.]+)", total=500)`.

    Attributes:
        pattern: A regular expression, searched in each line (one ends at a newline or a carriage return), with a group
            `done` and maybe `total`, or a group `percent`.
        total: What `done` reaches at the end, if the lines do not tell.
        adds: Each match tells what was done since the last one (bwa does that), not since the beginning.
    """

    pattern: str
    total: float | None = None
    adds: bool = False

    def __post_init__(self) -> None:
        groups = re.compile(self.pattern).groupindex
        if "done" not in groups and "percent" not in groups:
            raise ValueError(f"the pattern {self.pattern!r} has no group `done` or `percent`")


class Meter:
    """Follows one program's lines."""

    def __init__(self, progress: Progress) -> None:
        self._pattern = re.compile(progress.pattern)
        self._progress = progress
        self._sum = 0.0

    def fraction(self, line: str) -> float | None:
        """How far the program is after `line`, from 0 to 1; None if the line does not tell."""
        match = self._pattern.search(line[:2000])
        if match is None:
            return None
        found = match.groupdict()
        try:
            if found.get("percent") is not None:
                return _bounded(float(found["percent"]) / 100)
            done = float(found["done"] or 0)
            self._sum = self._sum + done if self._progress.adds else done
            total = float(found.get("total") or self._progress.total or 0)
        except (ValueError, KeyError):
            return None
        return _bounded(self._sum / total) if total > 0 else None


def _bounded(fraction: float) -> float:
    return 0.0 if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)


def report(fraction: float, words: str = "") -> None:
    """Says, in a function of a pipeline, how far it is (0 to 1) and what it does; outside of a run it does nothing."""
    channel = os.environ.get(CHANNEL)
    if channel:
        tell(int(channel), {"fraction": _bounded(float(fraction)), "words": str(words)[:200]})


def tell(channel: int, message: dict[str, object]) -> None:
    """One line of JSON to the engine."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(channel, data) :]
