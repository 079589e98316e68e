"""The way of the tools: fastp, bwa mem or minimap2, samtools, then bcftools or freebayes for each region."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from perijove.apps import Case, Command, Pipe, Progress, Step, Unfit

from . import mapping
from .given import LONG, kind, links, total

GROUP = r"@RG\tID:1\tSM:sample"
#: The end of each sound BAM (SAM specification 1.6, section 4.1.2).
BAM_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def steps(case: Case, parts: list[str]) -> Iterator[Step]:
    """From reads to a VCF; `parts` are the regions."""
    bam, ref = case.file("results/aligned.bam"), case.file("reference.fa")
    cleaned = [case.file(f"clean_{at}.fastq.gz") for at in range(1, len(links(case)) + 1)]
    yield Step(
        "clean",
        fastp(case),
        after=["look"],
        makes=["fastp.json", *(p.name for p in cleaned)],
        cores=case.cores,
        limit=LONG,
    )
    ready = ["clean"]
    if aligner(case) == "bwa":
        index = [f"reference.fa.{end}" for end in ("amb", "ann", "bwt", "pac", "sa")]
        command = Command([case.program("bwa"), "index", "-p", "reference.fa", ref])
        yield Step("index", command, after=["look"], makes=index, limit=LONG)
        ready.append("index")
    made = ["results/aligned.bam", "results/aligned.bam.bai"]
    yield Step("align", align(case, cleaned), after=ready, makes=made, cores=case.cores, limit=LONG, check=whole)
    samtools, bcftools = case.program("samtools"), case.program("bcftools")
    yield Step(
        "count",
        Command([samtools, "flagstat", "-O", "json", bam], stdout="flagstat.json"),
        after=["align"],
        makes=["flagstat.json"],
    )
    for part in parts:
        bed, calls = case.file(f"part-{part}.bed"), f"calls-{part}.bcf"
        yield Step("call", caller(case, bed, calls), part, after=["align"], makes=[calls], limit=LONG)
        depth = Command([samtools, "depth", "-aa", "-J", "-b", bed, bam], stdout=f"depth-{part}.tsv")
        yield Step("depth", depth, part, after=["align"], makes=[f"depth-{part}.tsv"], limit=LONG)
    good = f"QUAL>={case.inputs['quality']} && INFO/DP>={case.inputs['depth']}"
    join = Pipe(
        (
            Command([bcftools, "concat", "-Ou", *(case.file(f"calls-{part}.bcf") for part in parts)]),
            Command([bcftools, "norm", "-Ou", "-d", "exact", "-f", ref]),
            Command([bcftools, "view", "-Ou", "-i", good]),
            Command([bcftools, "sort", "-Oz", "-o", "results/variants.vcf.gz"]),
        )
    )
    yield Step("join", join, "filter", after=["call"], makes=["results/variants.vcf.gz"], limit=LONG)
    index_vcf = Command(
        [bcftools, "index", "-t", "-o", "results/variants.vcf.gz.tbi", case.file("results/variants.vcf.gz")]
    )
    yield Step("join", index_vcf, "index", after=["join@filter"], makes=["results/variants.vcf.gz.tbi"])


def aligner(case: Case) -> str:
    """bwa or minimap2: what was asked for; long reads are minimap2's."""
    asked = case.inputs["aligner"]
    return "minimap2" if kind(case) != "short" or asked == "minimap2" else "bwa"


def fastp(case: Case) -> Command:
    """Filters short reads by quality and trims adapters; of long ones, drops those below 500 bases."""
    ins = [word for flag, path in zip(("-i", "-I"), links(case), strict=False) for word in (flag, path)]
    outs = [
        word for at, flag in enumerate(("-o", "-O")[: len(links(case))], 1) for word in (flag, f"clean_{at}.fastq.gz")
    ]
    rules: list[str | int] = (
        ["-q", case.inputs["base_quality"]] if kind(case) == "short" else ["-Q", "-A", "-G", "-l", 500]
    )
    threads = min(case.cores, 16)
    # How many reads are copies of others takes a gigabyte of memory to find out, and nothing here uses it.
    rest: list[str | int] = ["-z", 1, "-w", threads, "-j", "fastp.json", "-h", "fastp.html", "--dont_eval_duplication"]
    return Command([case.program("fastp"), *ins, *outs, *rules, *rest])


def align(case: Case, cleaned: list[Path]) -> Pipe:
    """The aligner into samtools, which sorts and indexes."""
    ref, bam, threads = case.file("reference.fa"), "results/aligned.bam", max(case.cores, 1)
    if aligner(case) == "bwa":
        # A fixed size of batches: the same result for any number of threads.
        progress = Progress(r"Processed (?P<done>\d+) reads", total(case) or None, adds=True)
        words: list[str | int | Path] = [
            case.program("bwa"),
            "mem",
            "-t",
            threads,
            "-K",
            10_000_000,
            "-R",
            GROUP,
            ref,
            *cleaned,
        ]
    else:
        preset = mapping.PRESETS[kind(case)]
        progress = Progress(r"mapped (?P<done>\d+) sequences", total(case) or None, adds=True)
        words = [case.program("minimap2"), "-a", "-x", preset, "-t", threads, "-K", "10M", "-R", GROUP, ref, *cleaned]
    sort: list[str | int] = [
        case.program("samtools"),
        "sort",
        "-@",
        min(threads, 8),
        "-m",
        "128M",
        "--write-index",
        "-T",
        "sort",
    ]
    return Pipe((Command(words, progress=progress), Command([*sort, "-o", f"{bam}##idx##{bam}.bai", "-"])))


def caller(case: Case, bed: Path, out: str) -> Pipe:
    """bcftools (or freebayes) for one region."""
    ref, bam, bcftools = case.file("reference.fa"), case.file("results/aligned.bam"), case.program("bcftools")
    least, copies = case.inputs["mapping_quality"], case.inputs["ploidy"]
    # bcftools 1.16 has no profile for PacBio's continuous reads; that for Nanopore (quality 5, no gaps) is nearest.
    rules = ["-Q", case.inputs["base_quality"]] if kind(case) == "short" else ["-X", "ont"]
    if case.inputs["caller"] == "freebayes":
        quality = case.inputs["base_quality"] if kind(case) == "short" else 5
        find = ["-f", ref, "-t", bed, "-p", copies, "-m", least, "-q", quality, bam]
        return Pipe(
            (
                Command([case.program("freebayes"), *find]),
                Command([bcftools, "norm", "-Ob", "-a", "-f", ref, "-o", out]),
            )
        )
    pileup = ["mpileup", "-Ou", *rules, "-q", least, "-d", 1000, "-a", "AD", "-R", bed, "-f", ref, bam]
    return Pipe(
        (
            Command([bcftools, *pileup]),
            Command([bcftools, "call", "-m", "-v", "--ploidy", copies, "-Ob", "-o", out]),
        )
    )


def whole(case: Case, folder: Path) -> None:
    """A BAM that breaks off is no result, whatever the program's exit status was."""
    with (folder / "results/aligned.bam").open("rb") as file:
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(size - len(BAM_END), 0))
        if file.read() != BAM_END:
            raise Unfit("The alignment breaks off: its file has no end.", "比对文件不完整：缺少结束标记。")
