"""The way that needs nothing but PyPI, first half: filter reads, and map them with `mappy` (minimap2 as a library).

The filter is fastp's rule for reads (a read goes when more than 40 % of its bases are below the asked quality, when it
has more than 5 N or is shorter than 15 bases; a pair goes as a whole), without fastp's trimming of adapters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from perijove.apps import Unfit, report

from .reads import Record, pairs, records

#: minimap2's presets by the kind of reads.
PRESETS = {"short": "sr", "pacbio": "map-pb", "nanopore": "map-ont"}
#: Bases; a pair that lies further apart is not counted as one (bwa estimates this, we do not).
APART = 1000
LONG_ENOUGH = {"short": 15, "pacbio": 500, "nanopore": 500}


class Statistics:
    """Counts over reads, in the shape that fastp's report has where we read it."""

    def __init__(self) -> None:
        self.reads = self.bases = self.good = self.gc = 0
        self._sums: list[Any] = []

    def add(self, mate: int, bases: bytes, qualities: Any) -> None:
        """One read; `qualities` is an array of Phred numbers."""
        import numpy as np

        self.reads += 1
        self.bases += len(bases)
        self.good += int((qualities >= 30).sum())
        self.gc += bases.count(b"G") + bases.count(b"C")
        while len(self._sums) <= mate:
            self._sums.append(np.zeros((2, 512)))
        if self._sums[mate].shape[1] < len(bases):
            more = max(len(bases), 2 * self._sums[mate].shape[1]) - self._sums[mate].shape[1]
            self._sums[mate] = np.pad(self._sums[mate], ((0, 0), (0, more)))
        self._sums[mate][0, : len(bases)] += qualities
        self._sums[mate][1, : len(bases)] += 1

    def summary(self) -> dict[str, float]:
        """As `summary.before_filtering` of fastp."""
        total = max(self.bases, 1)
        return {
            "total_reads": self.reads,
            "total_bases": self.bases,
            "q30_rate": self.good / total,
            "gc_content": self.gc / total,
        }

    def curves(self) -> list[list[float]]:
        """Mean quality at each position of the reads, one list for each mate."""
        return [(sums[0][sums[1] > 0] / sums[1][sums[1] > 0]).round(3).tolist() for sums in self._sums]


def clean(first: Path, second: Path | None, kind: str, quality: int, folder: Path, total: int) -> None:
    """Writes the reads that are good enough into `clean_1.fastq` (and `clean_2.fastq`), and `fastp.json` about them.

    Long reads are judged by their length alone: their qualities are another scale.
    """
    import numpy as np

    before, after = Statistics(), Statistics()
    failed = {"low_quality_reads": 0, "too_many_N_reads": 0, "too_short_reads": 0}
    names = ["clean_1.fastq"] + (["clean_2.fastq"] if second else [])
    source: Iterable[tuple[Record, ...]] = (
        pairs(first, second) if second else ((one,) for one in records(first, "reads"))
    )
    files = [(folder / name).open("wb") for name in names]
    try:
        for count, mates in enumerate(source):
            phreds = [np.frombuffer(mate[2], dtype=np.uint8).astype(np.int16) - 33 for mate in mates]
            faults = [_fault(mate, phred, kind, quality) for mate, phred in zip(mates, phreds, strict=True)]
            fault = next(filter(None, faults), "")
            for at, (mate, phred) in enumerate(zip(mates, phreds, strict=True)):
                before.add(at, mate[1], phred)
                if fault:
                    failed[fault] += 1
                    continue
                after.add(at, mate[1], phred)
                files[at].write(b"@" + mate[0] + b"\n" + mate[1] + b"\n+\n" + mate[2] + b"\n")
            if count % 5000 == 0:
                report(count * len(mates) / max(total, 1))
    finally:
        for file in files:
            file.close()
    if not after.reads:
        raise Unfit(
            f"None of the {before.reads} reads is good enough: ask for a lower quality of bases, or look at the file.",
            f"{before.reads} 条读段全部不合格：请降低碱基最低质量，或检查文件。",
            "base_quality" if failed["low_quality_reads"] else "reads",
        )
    facts: dict[str, Any] = {
        "summary": {"before_filtering": before.summary(), "after_filtering": after.summary()},
        "filtering_result": {"passed_filter_reads": after.reads, **failed},
    }
    for when, statistics in (("before", before), ("after", after)):
        for at, curve in enumerate(statistics.curves(), 1):
            facts[f"read{at}_{when}_filtering"] = {"quality_curves": {"mean": curve}}
    (folder / "fastp.json").write_text(json.dumps(facts), encoding="utf-8")


def _fault(read: Record, phred: Any, kind: str, quality: int) -> str:
    if len(read[1]) < LONG_ENOUGH[kind]:
        return "too_short_reads"
    if kind != "short":
        return ""
    if read[1].upper().count(b"N") > 5:
        return "too_many_N_reads"
    return "low_quality_reads" if int((phred < quality).sum()) * 100 > 40 * len(read[1]) else ""


def align(reference: Path, first: Path, second: Path | None, kind: str, cores: int, total: int, bam: Path) -> None:
    """Maps the reads and writes them, sorted, with an index beside it."""
    import mappy
    import pysam

    aligner = mappy.Aligner(str(reference), preset=PRESETS[kind])
    if not aligner:
        raise Unfit("The reference could not be indexed.", "无法为参考序列建立索引。", "reference")
    names = [line.split("\t")[:2] for line in Path(f"{reference}.fai").read_text(encoding="utf-8").splitlines()]
    header = pysam.AlignmentHeader.from_dict(
        {
            "HD": {"VN": "1.6", "SO": "unsorted"},
            "SQ": [{"SN": name, "LN": int(length)} for name, length in names],
            "RG": [{"ID": "1", "SM": "sample"}],
            "PG": [{"ID": "perijove-variants", "PN": f"mappy {mappy.__version__}"}],
        }
    )
    source: Iterator[tuple[Record, ...]] = (
        pairs(first, second) if second else ((one,) for one in records(first, "reads"))
    )

    def place(mates: tuple[Record, ...]) -> tuple[tuple[Record, ...], list[list[Any]]]:
        # Each mate for itself: minimap2's library flips the second one of a pair in a way of its own.
        return mates, [[hit for hit in aligner.map(mate[1].decode("ascii")) if hit.is_primary] for mate in mates]

    unsorted = bam.with_suffix(".unsorted.bam")
    done = 0
    with pysam.AlignmentFile(str(unsorted), "wb", header=header) as out, ThreadPoolExecutor(cores) as pool:
        # A bounded number at a time: what waits for the writer stays in memory.
        while batch := list(islice(source, 2000 if kind == "short" else 200)):
            for mates, hits in pool.map(place, batch):
                for record in _records(mates, hits, kind, header):
                    out.write(record)
            done += sum(len(mates) for mates in batch)
            report(0.9 * done / max(total, 1))
    pysam.sort("-@", str(cores), "-o", str(bam), str(unsorted))
    unsorted.unlink()
    pysam.index(str(bam))


def _records(mates: tuple[Record, ...], hits: list[list[Any]], kind: str, header: Any) -> Iterator[Any]:
    best = [max(found, key=lambda hit: (hit.mapq, hit.mlen)) if found else None for found in hits]
    mains = [_record(mate, hit, header) for mate, hit in zip(mates, best, strict=True)]
    if len(mates) == 2:
        _pair(mains[0], mains[1])
    yield from mains
    if kind != "short":
        for hit in hits[0]:
            if hit is not best[0]:
                further = _record(mates[0], hit, header)
                further.is_supplementary = True
                yield further


def _record(read: Record, hit: Any, header: Any) -> Any:
    import mappy
    import pysam

    record = pysam.AlignedSegment(header)
    bases, qualities = read[1].decode("ascii").upper(), read[2].decode("ascii")
    record.query_name = read[0].decode("ascii", "replace")[:250] or "read"
    record.set_tag("RG", "1")
    if hit is None:
        record.is_unmapped = True
        record.query_sequence = bases
        record.query_qualities_str = qualities
        return record
    forward = hit.strand > 0
    before, behind = hit.q_st, len(bases) - hit.q_en
    if not forward:
        bases, qualities, before, behind = mappy.revcomp(bases), qualities[::-1], behind, before
    record.is_reverse = not forward
    record.reference_id = header.get_tid(hit.ctg)
    record.reference_start = hit.r_st
    record.mapping_quality = hit.mapq
    clips = [[(4, before)] if before else [], [(4, behind)] if behind else []]
    record.cigartuples = clips[0] + [(operation, length) for length, operation in hit.cigar] + clips[1]
    record.query_sequence = bases
    record.query_qualities_str = qualities
    record.set_tag("NM", hit.NM)
    return record


def _pair(one: Any, two: Any) -> None:
    """Makes two records a pair (SAM specification 1.6, section 1.4)."""
    for this, other in ((one, two), (two, one)):
        this.is_paired = True
        this.is_read1, this.is_read2 = this is one, this is two
        this.mate_is_unmapped = other.is_unmapped
        this.mate_is_reverse = other.is_reverse
        if this.is_unmapped and not other.is_unmapped:
            this.reference_id, this.reference_start = other.reference_id, other.reference_start
        if not other.is_unmapped or not this.is_unmapped:
            base = this if other.is_unmapped else other
            this.next_reference_id, this.next_reference_start = base.reference_id, base.reference_start
    if one.is_unmapped or two.is_unmapped or one.reference_id != two.reference_id or one.is_reverse == two.is_reverse:
        return
    left, right = (two, one) if one.is_reverse else (one, two)
    span = right.reference_end - left.reference_start
    left.template_length, right.template_length = span, -span
    one.is_proper_pair = two.is_proper_pair = 0 < span <= APART
