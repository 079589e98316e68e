"""What is left of a radioactive sample: N(t) = N(0) * 2 ** (-t / half-life)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from perijove.apps import Call, Case, Step, report


def steps(case: Case) -> list[Step]:
    """The pipeline: one step."""
    return [Step("compute", Call(compute), makes=("results/curve.png", "results/table.csv"))]


def compute(case: Case) -> dict[str, Any]:
    """Compute, draw and write; runs in a process of its own, in a directory that has but the folder `results`."""
    half_life, years = case.inputs["half_life"], case.inputs["years"]
    times = range(years + 1)
    left = [100 * 2 ** (-time / half_life) for time in times]
    report(0.5, "drawing")
    folder = Path("results")
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("year", "percent"), *zip(times, left, strict=True)])
    _draw(folder / "curve.png", times, left)
    return {
        "numbers": {"left": left[-1]},
        "figures": {"curve": {"file": "curve.png"}},
        "tables": {"table": "table.csv"},
        "reading": {
            "en": f"After {years} years, {left[-1]:.3g} % of the sample is left.",
            "zh": f"{years} 年后，样品还剩 {left[-1]:.3g} %。",
        },
    }


def _draw(path: Path, times: range, left: list[float]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(times, left)
    axes.set(xlabel="year", ylabel="left [%]", ylim=(0, 100))
    figure.savefig(path, dpi=120)
