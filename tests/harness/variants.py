"""Runs of the variant finder, and reads and references made for them."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import perijove.apps
from perijove.spawners.apps.manifest import load
from perijove.spawners.apps.pool import Here
from perijove.spawners.apps.runner import Runner

APP = Path(perijove.apps.__file__).parent / "variants"


DATA = APP / "data"


FIRST, SECOND = DATA / "Hm2_GTGAAA_L005_R1_001.fastq.gz", DATA / "Hm2_GTGAAA_L005_R2_001.fastq.gz"


TOOLS = ("fastp", "bwa", "minimap2", "samtools", "bcftools", "freebayes")


def run(folder: Path, **inputs: Any) -> dict[str, Any]:
    """The report of a run in `folder`; a person's files lie in `folder/home`."""
    (folder / "run").mkdir(parents=True)
    language = inputs.pop("language", "en")
    order = {"app": "variants", "inputs": inputs, "language": language, "home": str(folder / "home")}
    (folder / "run/run.json").write_text(json.dumps(order))
    return Runner(folder / "run", load(APP), Here(2)).run()


def numbers(report: dict[str, Any]) -> dict[str, float]:
    """The numbers of a run that went well."""
    assert report["state"] == "done", report["failure"]
    return {one["name"]: one["value"] for one in report["results"]["numbers"]}


def found(folder: Path) -> set[tuple[str, str, str]]:
    """Position and alleles of all variants in a run's table."""
    with (folder / "run/results/variants.csv").open(encoding="utf-8") as file:
        return {(row["position"], row["reference"], row["alternative"]) for row in csv.DictReader(file)}


def planted(seed: int = 1) -> tuple[str, str, set[tuple[str, str, str]]]:
    """A reference of 3000 bases, a sample's sequence, and how they differ: 4 single bases, an insertion, a deletion."""
    draw = random.Random(seed)  # noqa: S311
    reference = "".join(draw.choice("ACGT") for _ in range(3000))
    reference = reference[:999] + "CATG" + reference[1003:1999] + "CATG" + reference[2003:]
    sample, truth = list(reference), set()
    for at in (400, 700, 1500, 2500):
        letter = next(base for base in "ACGT" if base != reference[at])
        sample[at] = letter
        truth.add((str(at + 1), reference[at], letter))
    sample[1000] += "TTT"  # between the A and the T of CATG, where it may lie at one place only: before the T's
    sample[2001] = ""
    truth |= {("1001", "A", "ATTT"), ("2001", "AT", "A")}
    return reference, "".join(sample), truth


def fastq(path: Path, sequence: str, depth: int = 20, length: int = 100, name: str = "r") -> Path:
    """Reads without errors, evenly over `sequence`, from both strands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    step = max(length // depth, 1)
    turn = str.maketrans("ACGT", "TGCA")
    with path.open("w", encoding="ascii") as file:
        for count, at in enumerate(range(0, len(sequence) - length + 1, step)):
            bases = sequence[at : at + length]
            bases = bases if count % 2 else bases.translate(turn)[::-1]
            file.write(f"@{name}{count}\n{bases}\n+\n{'I' * length}\n")
    return path
