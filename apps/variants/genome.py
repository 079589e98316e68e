"""What came out, read back: depth of each base, variants, statistics of reads; and the consensus made of them.

Both ways write the same kinds of files (samtools' depth, VCF, fastp's report), so that everything from here on is one.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from .regions import Region

#: IUPAC letters for two bases (Cornish-Bowden 1985, Nucleic Acids Res. 13:3021).
_BOTH = {"AG": "R", "CT": "Y", "CG": "S", "AT": "W", "GT": "K", "AC": "M"}
COLUMNS = ["sequence", "position", "reference", "alternative", "kind", "quality", "depth", "share_of_reads", "genotype"]
KINDS = ("snp", "insertion", "deletion", "other")


@dataclass(frozen=True)
class Variant:
    """One line of a VCF: position from 1; `share`: the part of the reads that show it, -1 if the file does not tell."""

    sequence: str
    position: int
    ref: str
    alt: str
    quality: float
    depth: int
    share: float
    genotype: str

    @property
    def kind(self) -> str:
        """snp, insertion, deletion or other (several bases at once)."""
        if len(self.ref) == len(self.alt):
            return "snp" if len(self.ref) == 1 else "other"
        return "insertion" if len(self.alt) > len(self.ref) else "deletion"

    @property
    def mixed(self) -> bool:
        """Whether the reference's allele is there, too."""
        return "0" in self.genotype.replace("|", "/").split("/")


def variants(path: Path) -> list[Variant]:
    """The variants of a VCF file, packed or not."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            name, position, _, ref, alts, quality, _, info, *sample = line.rstrip("\n").split("\t")
            facts = dict(piece.partition("=")[::2] for piece in info.split(";"))
            values = dict(zip(sample[0].split(":"), sample[1].split(":"), strict=False)) if len(sample) > 1 else {}
            counts = [int(count) for count in values.get("AD", "").split(",") if count.isdigit()]
            for at, alt in enumerate(alts.split(",")):
                whole = sum(counts)
                share = counts[at + 1] / whole if len(counts) > at + 1 and whole else -1.0
                depth = int(facts.get("DP") or 0)
                score = float(quality) if quality != "." else 0.0
                found.append(Variant(name, int(position), ref, alt, score, depth, share, values.get("GT", ".")))
    return found


def table(found: Iterable[Variant], path: Path) -> None:
    """The variants as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for one in found:
            share = f"{one.share:.3f}" if one.share >= 0 else ""
            quality = f"{one.quality:.1f}"
            rows.writerow(
                [one.sequence, one.position, one.ref, one.alt, one.kind, quality, one.depth, share, one.genotype]
            )


def depths(paths: Iterable[Path], regions: Iterable[Region]) -> list[Any]:
    """The depth of each base (an array for each region, in their order) from files of `samtools depth -aa -J`."""
    import numpy as np

    places = list(regions)
    result = [np.zeros(end - start, dtype=np.int32) for _, start, end in places]
    at = {(name, start): number for number, (name, start, _) in enumerate(places)}
    for path in paths:
        data = path.read_bytes()
        if not data.strip():
            continue
        lines = data.splitlines()
        columns = [line.rsplit(b"\t", 2) for line in lines]
        positions = np.array([column[1] for column in columns]).astype(np.int64) - 1
        values = np.array([column[2] for column in columns]).astype(np.int32)
        names = [column[0] for column in columns]
        # A part's lines run through one sequence after the other.
        cuts = [0, *(i for i in range(1, len(names)) if names[i] != names[i - 1]), len(names)]
        for first, last in pairwise(cuts):
            name = names[first].decode()
            for (title, start), number in at.items():
                if title == name:
                    inside = (positions[first:last] >= start) & (positions[first:last] < start + len(result[number]))
                    result[number][positions[first:last][inside] - start] = values[first:last][inside]
    return result


def consensus(
    sequences: dict[str, str], regions: list[Region], depth: list[Any], found: list[Variant], least: int
) -> str:
    """The sample's own sequence as FASTA: the reference with the variants in it, N where fewer than `least` reads lie.

    A place where both alleles are has the letter for both (IUPAC); a mixed insertion or deletion is left out.
    """
    text = []
    for (name, start, end), values in zip(regions, depth, strict=True):
        bases = [letter if values[at] >= least else "N" for at, letter in enumerate(sequences[name][start:end])]
        free = start  # a variant within another one's bases would be put in twice
        for one in sorted((v for v in found if v.sequence == name), key=lambda v: (v.position, -v.quality)):
            first = one.position - 1
            if first < free or first < start or first + len(one.ref) > end:
                continue
            if one.mixed and one.kind != "snp":
                continue
            bases[first - start] = _BOTH.get("".join(sorted(one.ref + one.alt)), "N") if one.mixed else one.alt
            bases[first - start + 1 : first - start + len(one.ref)] = [""] * (len(one.ref) - 1)
            free = first + len(one.ref)
        joined = "".join(bases)
        title = f">{name}" if (start, end) == (0, len(sequences[name])) else f">{name}:{start + 1}-{end}"
        text.append("\n".join([title, *(joined[at : at + 60] for at in range(0, len(joined), 60))]) + "\n")
    return "".join(text)


@dataclass(frozen=True)
class Quality:
    """What fastp (or our filter) says of the reads; curves: name of mate and moment, mean quality by position."""

    before: int
    after: int
    bases: int
    good: float
    gc: float
    curves: dict[tuple[int, str], list[float]]


def quality(path: Path) -> Quality:
    """The report of fastp, as far as we show it."""
    data = json.loads(path.read_text(encoding="utf-8"))
    before, after = data["summary"]["before_filtering"], data["summary"]["after_filtering"]
    curves = {
        (mate, when): data[key]["quality_curves"]["mean"]
        for mate in (1, 2)
        for when in ("before", "after")
        if (key := f"read{mate}_{when}_filtering") in data
    }
    return Quality(
        before=before["total_reads"],
        after=after["total_reads"],
        bases=after["total_bases"],
        good=after["q30_rate"],
        gc=after["gc_content"],
        curves=curves,
    )


def mapped(path: Path) -> tuple[int, int]:
    """Reads, and how many of them lie on the reference, from `samtools flagstat -O json`."""
    passed = json.loads(path.read_text(encoding="utf-8"))["QC-passed reads"]
    return int(passed["primary"]), int(passed["primary mapped"])
