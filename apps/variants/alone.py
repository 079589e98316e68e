"""The way of Python alone: a filter, minimap2 as a library and a simple caller, where nobody can install anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from perijove.apps import Call, Case, Step

from . import calling, mapping, regions
from .first import facts
from .given import LONG, kind, links
from .tools import whole


def steps(case: Case, parts: list[str]) -> Iterator[Step]:
    """From reads to a VCF; `parts` are the regions."""
    cleaned = [f"clean_{at}.fastq" for at in range(1, len(links(case)) + 1)]
    yield Step("clean", Call(clean), after=["look"], makes=["fastp.json", *cleaned], limit=LONG)
    made = ["results/aligned.bam", "results/aligned.bam.bai", "flagstat.json"]
    yield Step("align", Call(place), after=["clean"], makes=made, cores=case.cores, limit=LONG, check=whole)
    for part in parts:
        yield Step("call", Call(find, part=part), part, after=["align"], makes=[f"calls-{part}.json"], limit=LONG)
        yield Step("depth", Call(depth, part=part), part, after=["align"], makes=[f"depth-{part}.tsv"], limit=LONG)
    vcf = ["results/variants.vcf.gz", "results/variants.vcf.gz.tbi"]
    yield Step("join", Call(join, parts=parts), after=["call"], makes=vcf)


def clean(case: Case) -> None:
    """Filters the reads."""
    files = links(case)
    mate = files[1] if len(files) > 1 else None
    mapping.clean(files[0], mate, kind(case), case.inputs["base_quality"], Path(), facts(case)["reads"])


def place(case: Case) -> None:
    """Maps the reads."""
    import pysam

    mate = case.file("clean_2.fastq") if len(links(case)) > 1 else None
    bam = Path("results/aligned.bam")
    first = case.file("clean_1.fastq")
    mapping.align(case.file("reference.fa"), first, mate, kind(case), case.cores, facts(case)["reads"], bam)
    Path("flagstat.json").write_text(str(pysam.flagstat("-O", "json", str(bam))), encoding="utf-8")


def _regions(case: Case, part: str) -> list[regions.Region]:
    lines = case.file(f"part-{part}.bed").read_text(encoding="ascii").splitlines()
    return [(name, int(start), int(end)) for name, start, end in (line.split("\t") for line in lines)]


def find(case: Case, part: str) -> None:
    """Calls the variants of one region."""
    inputs = case.inputs
    rule = calling.rules(kind(case), inputs["base_quality"], inputs["mapping_quality"], inputs["ploidy"])
    bam, ref = case.file("results/aligned.bam"), case.file("reference.fa")
    calls = [asdict(one) for region in _regions(case, part) for one in calling.call(bam, ref, region, rule)]
    Path(f"calls-{part}.json").write_text(json.dumps(calls), encoding="utf-8")


def depth(case: Case, part: str) -> None:
    """The depth of each base of one region, by the samtools that pysam brings."""
    import pysam

    name = f"depth-{part}.tsv"
    pysam.depth(
        "-aa",
        "-J",
        "-b",
        str(case.file(f"part-{part}.bed")),
        "-o",
        name,
        str(case.file("results/aligned.bam")),
        catch_stdout=False,
    )


def join(case: Case, parts: list[str]) -> None:
    """One VCF of all regions' calls."""
    texts = [case.file(f"calls-{part}.json").read_text(encoding="utf-8") for part in parts]
    calls = [calling.Call(**one) for text in texts for one in json.loads(text)]
    lines = case.file("reference.fa.fai").read_text(encoding="ascii").splitlines()
    lengths = {name: int(length) for name, length, *_ in (line.split("\t") for line in lines)}
    path = Path("results/variants.vcf.gz")
    calling.write(calls, lengths, path, case.inputs["quality"], case.inputs["depth"])
