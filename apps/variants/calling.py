"""The way that needs nothing but PyPI, second half: a caller of variants of our own. It is simple, and says so.

It counts, base by base, what the reads say, and compares the likelihood of "all of them read the reference" with that
of the best other genotype, every base with one and the same chance of error. No realignment, no base alignment quality,
no model of errors that come together: bcftools does better, and is what the other way runs. In return it is 150 lines
that one can read. A quality is -10 log10 of that ratio with the prior chance of a variant, 0.001 a base.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .regions import Region

#: -10 log10 of the chance that a base differs from the reference before any read was seen.
PRIOR = 30.0
HIGHEST = 999.0
#: The chance that an insertion or a deletion in a short read is the machine's own.
GAP_ERROR = 0.01
#: The chance of a wrong base in a long read.
LONG_ERROR = 0.15
BASES = "ACGT"


@dataclass(frozen=True)
class Call:
    """One variant, as in VCF: position from 1, alleles as text, genotype `1`, `0/1` or `1/1`, reads for each allele."""

    sequence: str
    position: int
    ref: str
    alt: str
    quality: float
    genotype: str
    depth: int
    alternate: int


@dataclass(frozen=True)
class Rules:
    """What counts: least base and mapping quality (Phred), copies of the genome, chance of a wrong base."""

    base_quality: int
    mapping_quality: int
    ploidy: int
    error: float
    gaps: bool


def rules(kind: str, base_quality: int, mapping_quality: int, ploidy: int) -> Rules:
    """For short reads by the asked base quality; long ones are counted from quality 5 on, and without gaps, as in
    bcftools' profile for them."""
    if kind == "short":
        return Rules(base_quality, mapping_quality, ploidy, 10 ** (-base_quality / 10), True)
    return Rules(5, mapping_quality, ploidy, LONG_ERROR, False)


def call(bam: Path, reference: Path, region: Region, rule: Rules) -> list[Call]:
    """The variants of one region, in order."""
    import numpy as np
    import pysam

    name, start, end = region

    def counts(read: Any) -> bool:
        if read.is_unmapped or read.is_secondary or read.is_qcfail or read.is_duplicate:
            return False
        # As bcftools: a mate that is not where its pair should be is no witness.
        if read.is_paired and not read.is_proper_pair:
            return False
        return bool(read.mapping_quality >= rule.mapping_quality)

    with pysam.AlignmentFile(str(bam), "rb") as file, pysam.FastaFile(str(reference)) as fasta:
        text = fasta.fetch(name, start, min(end + 1000, fasta.get_reference_length(name)))
        table = np.array(
            file.count_coverage(name, start, end, quality_threshold=rule.base_quality, read_callback=counts),
            dtype=np.int64,
        )
        gaps = _gaps(file, region, text, counts) if rule.gaps else {}
    depths = table.sum(axis=0)
    best = table.copy()
    own = np.array([BASES.find(letter) for letter in text[: end - start]])
    known = own >= 0
    best[own[known], np.nonzero(known)[0]] = -1
    first = best.argmax(axis=0)
    found = []
    for at in np.nonzero(known & (best.max(axis=0) >= 2))[0].tolist():
        alternate, depth = int(table[first[at], at]), int(depths[at])
        quality, genotype = judge(depth, alternate, rule.error, rule.ploidy)
        if quality > 0:
            found.append(Call(name, start + at + 1, text[at], BASES[first[at]], quality, genotype, depth, alternate))
    for (place, ref, alt), alternate in gaps.items():
        # Reads that end at the gap cannot show it: what lies over the base before it counts.
        depth = max(int(depths[place - start]), alternate)
        quality, genotype = judge(depth, alternate, GAP_ERROR, rule.ploidy)
        if quality > 0 and alternate >= 2:
            found.append(Call(name, place + 1, ref, alt, quality, genotype, depth, alternate))
    return sorted(found, key=lambda one: (one.position, one.ref, one.alt))


def judge(depth: int, alternate: int, error: float, ploidy: int) -> tuple[float, str]:
    """Quality (Phred; 0 or less: no variant) and genotype, for `alternate` of `depth` reads with the other allele."""
    right, wrong = math.log10(1 - error), math.log10(error / 3)
    plain = (depth - alternate) * right + alternate * wrong
    other = alternate * right + (depth - alternate) * wrong
    genotypes = {"1": other} if ploidy == 1 else {"1/1": other, "0/1": depth * math.log10(0.5)}
    name = max(genotypes, key=genotypes.__getitem__)
    return min(10 * (genotypes[name] - plain) - PRIOR, HIGHEST), name


def _gaps(file: Any, region: Region, text: str, counts: Any) -> Counter[tuple[int, str, str]]:
    """Insertions and deletions that the reads' alignments have: (position from 0 of the base before, ref, alt)."""
    name, start, end = region
    found: Counter[tuple[int, str, str]] = Counter()
    for read in file.fetch(name, start, end):
        if not counts(read):
            continue
        place, at = read.reference_start, 0
        for operation, length in read.cigartuples:
            if operation in (1, 2) and start < place <= end and place - start + length < len(text):
                before = text[place - 1 - start]
                if operation == 1:
                    found[place - 1, before, before + read.query_sequence[at : at + length]] += 1
                else:
                    found[place - 1, text[place - 1 - start : place - start + length], before] += 1
            place += length if operation in (0, 2, 3, 7, 8) else 0
            at += length if operation in (0, 1, 4, 7, 8) else 0
    return found


def write(calls: list[Call], lengths: dict[str, int], path: Path, quality: float, depth: int) -> None:
    """A VCF 4.2 file (bgzip, with a tabix index beside it) of the calls that are good enough."""
    import pysam

    header = pysam.VariantHeader()
    header.add_meta("source", "perijove variants: simple pileup caller")
    for name, length in lengths.items():
        header.contigs.add(name, length=length)
    header.info.add("DP", 1, "Integer", "Reads that count here")
    header.formats.add("GT", 1, "String", "Genotype")
    header.formats.add("AD", "R", "Integer", "Reads for each allele")
    header.add_sample("sample")
    with pysam.VariantFile(str(path), "wz", header=header) as out:
        for one in calls:
            if one.quality < quality or one.depth < depth:
                continue
            record = out.new_record(
                contig=one.sequence, start=one.position - 1, alleles=(one.ref, one.alt), qual=round(one.quality, 1)
            )
            record.info["DP"] = one.depth
            record.samples["sample"]["GT"] = tuple(int(copy) for copy in one.genotype.split("/"))
            record.samples["sample"]["AD"] = (one.depth - one.alternate, one.alternate)
            out.write(record)
    pysam.tabix_index(str(path), preset="vcf", force=True)
