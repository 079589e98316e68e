"""Presets of the start form: sizes that the centres' queues really have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from perijove.hub.pages.formats import Formats
from perijove.hub.pages.words import N_

Json = Mapping[str, Any]
NAMES = {"small": N_("Small"), "medium": N_("Medium"), "large": N_("A whole node"), "gpu": N_("One GPU")}


@dataclass(frozen=True, slots=True)
class Preset:
    """A size: cores, GPUs and hours of walltime; the memory is the share that goes with the cores."""

    code: str
    cores: int
    gpus: int
    hours: int

    @property
    def name(self) -> str:
        """What it is called, in English."""
        return NAMES[self.code]

    def words(self, fmt: Formats) -> str:
        """What it is, e.g. "8 cores, 1 GPU, 2 h"."""
        gpus = [fmt.amount("gpus", self.gpus)] if self.gpus else []
        return fmt.commas([fmt.amount("cores", self.cores), *gpus, fmt.brief(self.hours * 3600)])

    @property
    def fields(self) -> dict[str, str]:
        """The form's fields."""
        return {"cores": str(self.cores), "memory": "", "gpus": str(self.gpus), "walltime": str(self.hours)}


def presets(centres: Iterable[Json]) -> list[Preset]:
    """The sizes that suit the typical open queue: a piece of its node, a quarter, all of it; and one GPU.

    Typical is the median, so that one large or tiny machine does not make the others' sizes. The GPU preset is there
    if a queue with GPUs is, and takes a GPU's share of the cores.
    """
    queues = [
        queue
        for centre in centres
        if centre.get("enabled", True) and not centre.get("drained")
        for queue in centre.get("queues") or ()
        if (queue.get("status") or {}).get("open") is not False
    ]
    plain = [queue for queue in queues if not queue.get("gpus")]
    found: list[Preset] = []
    if plain:
        node = median_low(int(queue["cores"]) for queue in plain)
        most = max(1, median_low(int(queue["max_time"]) for queue in plain) // 3600)
        sizes = (
            ("small", min(max(2, _even(node // 16)), 8), 1),
            ("medium", max(4, _even(node // 4)), 4),
            ("large", node, 8),
        )
        for code, cores, hours in sizes:
            preset = Preset(code, min(cores, node), 0, min(hours, most))
            if all(preset.cores > other.cores for other in found):
                found.append(preset)
    gpus = [queue for queue in queues if queue.get("gpus")]
    if gpus:
        share = median_low(max(1, int(queue["cores"]) // int(queue["gpus"])) for queue in gpus)
        hours = max(1, median_low(int(queue["max_time"]) for queue in gpus) // 3600)
        found.append(Preset("gpu", share, 1, min(2, hours)))
    return found


def _even(cores: int) -> int:
    """The power of two at or below `cores`: what people ask for."""
    return 1 << max(cores.bit_length() - 1, 0)
