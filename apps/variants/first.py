"""The first step: looks at everything that was given, so that a wrong file is found before anything else runs."""

from __future__ import annotations

import json
import tarfile
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from perijove.apps import Case, Unfit, report

from . import reads, regions
from .given import given, kind, reference, total

ECOLI = "selfSampleData/"


def look(case: Case, parts: list[str]) -> None:
    """Looks at all that was given and writes down what the other steps need."""
    if case.inputs["sample"] == "ecoli":
        with tarfile.open(case.data("ecoli")) as archive:
            Path("genome.fasta").write_bytes(_member(archive, "reference.fasta").read())
            sequences = reads.sequences(Path("genome.fasta"))
            with Path("reads_1.fastq").open("wb") as out:
                _copy(_member(archive, "pacbio_filtered.fastq"), out, total(case))
        files = [Path("reads_1.fastq")]
    else:
        sequences = reads.sequences(reference(case))
        files = given(case)
    places = regions.regions(case.inputs["region"] or "", {name: len(text) for name, text in sequences.items()})
    report(0.2)
    facts = reads.examine(files[0], files[1] if len(files) > 1 else None)
    if kind(case) == "short" and facts.longest > 1000:
        raise Unfit(
            f"The longest read has {facts.longest} bases: these are long reads. Choose PacBio or "
            "Nanopore as their kind.",
            f"最长的读段有 {facts.longest} 个碱基：这是长读段。请把读段类型改为 PacBio 或 Nanopore。",
            "kind",
        )
    if kind(case) != "short" and facts.paired:
        raise Unfit("Long reads do not come in pairs: give one file.", "长读段不成对：请只给一个文件。", "mates")
    text, index = reads.fasta(sequences)
    Path("reference.fa").write_text(text, encoding="ascii")
    Path("reference.fa.fai").write_text(index, encoding="ascii")
    for part, share in zip(parts, regions.share(places, len(parts)), strict=True):
        lines = "".join(f"{name}\t{start}\t{end}\n" for name, start, end in share)
        Path(f"part-{part}.bed").write_text(lines, encoding="ascii")
    Path("facts.json").write_text(json.dumps(asdict(facts) | {"regions": places}), encoding="utf-8")


def _member(archive: tarfile.TarFile, name: str) -> BinaryIO:
    file = archive.extractfile(ECOLI + name)
    if file is None:
        raise Unfit(f"The archive of E. coli has no {name}.", f"大肠杆菌的数据包中没有 {name}。", "sample")
    return file  # type: ignore[return-value]


def _copy(source: BinaryIO, out: BinaryIO, count: int) -> None:
    for line in islice(source, 4 * count):
        out.write(line)


def facts(case: Case) -> dict[str, Any]:
    """What `look` wrote down."""
    found: dict[str, Any] = json.loads(case.file("facts.json").read_text(encoding="utf-8"))
    found["regions"] = [(str(name), int(start), int(end)) for name, start, end in found["regions"]]
    return found
