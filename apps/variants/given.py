"""What was given to a run, as all steps see it: the kind of reads, the files and the names for them, how much there is.

Names of a person's files reach no program: they are linked as `reads_1.fastq` and the like, because bwa and samtools
write their command lines into headers.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from perijove.apps import Case

from . import reads, regions

#: Bytes of reference for one region where nobody said how many; and the most regions.
PIECE, MOST = 300_000, 64
#: Seconds for what may take long with a person's own reads.
LONG = 24 * 3600.0


def kind(case: Case) -> str:
    """short, pacbio or nanopore."""
    fixed = {"measles": "short", "ecoli": "pacbio"}
    return fixed.get(case.inputs["sample"]) or str(case.inputs["kind"])


def given(case: Case) -> list[Path]:
    """The files of reads, one or two; E. coli's come out of an archive."""
    if case.inputs["sample"] == "measles":
        return [case.data("measles_1"), case.data("measles_2")]
    if case.inputs["sample"] == "ecoli":
        return []
    return [Path(case.inputs[name]).absolute() for name in ("reads", "mates") if case.inputs[name]]


def links(case: Case) -> list[Path]:
    """The names under which programs read them; some programs tell gzip by the name alone."""
    if case.inputs["sample"] == "ecoli":
        return [case.work / "reads_1.fastq"]
    return [case.work / f"reads_{at}.fastq{_suffix(path)}" for at, path in enumerate(given(case), 1)]


def _suffix(path: Path) -> str:
    with suppress(OSError):
        return ".gz" if reads.packed(path) else ""
    return ""  # the first step says what is wrong with it


def reference(case: Case) -> Path:
    """The reference that was given."""
    named = {"measles": "measles_reference", "ecoli": "ecoli"}.get(case.inputs["sample"])
    return case.data(named) if named else Path(case.inputs["reference"])


def pieces(case: Case) -> int:
    """Into how many regions the genome is cut: what was asked for, or by its size, but two at least."""
    if case.inputs["pieces"]:
        return int(case.inputs["pieces"])
    size = regions.asked(case.inputs["region"] or "") or {"ecoli": 16 * PIECE}.get(case.inputs["sample"], 0)
    with suppress(OSError):
        size = size or reference(case).stat().st_size * (4 if reads.packed(reference(case)) else 1)
    return min(max(-(-size // PIECE), 2), MOST)


def total(case: Case) -> int:
    """About how many reads there are, for bars of progress."""
    if case.inputs["sample"] == "ecoli":
        return 16_890 * int(case.inputs["share"]) // 100
    return sum(reads.estimate(path) for path in given(case))
