"""Which variants are in these reads? The steps, for both ways.

`tools` (and `bcftools`, where there is no freebayes): fastp, bwa mem or minimap2, samtools, then a caller for each
region. `python`: the same graph with a filter, minimap2 as a library and a simple caller; for machines where nobody can
install anything.

The first step looks at everything that was given, so that a wrong file is found before anything else runs. Names of a
person's files reach no program: they are linked as `reads_1.fastq` and the like, because bwa and samtools write their
command lines into headers.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from perijove.apps import Call, Case, Command, Pipe, Progress, Step, Unfit, report

from . import calling, genome, mapping, reads, regions
from .results import Outcome, results

#: Bytes of reference for one region where nobody said how many; and the most regions.
PIECE, MOST = 300_000, 64
#: Seconds for what may take long with a person's own reads.
LONG = 24 * 3600.0
ECOLI = "selfSampleData/"
GROUP = r"@RG\tID:1\tSM:sample"
#: The end of each sound BAM (SAM specification 1.6, section 4.1.2).
BAM_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def steps(case: Case) -> list[Step]:
    """The graph of the run."""
    parts = [f"{number:02d}" for number in range(1, pieces(case) + 1)]
    beds = [f"part-{part}.bed" for part in parts]
    look_makes = ["reference.fa", "reference.fa.fai", "facts.json", *beds]
    if case.inputs["sample"] == "ecoli":
        look_makes.append("reads_1.fastq")
    else:
        for path, link in zip(given(case), links(case), strict=True):
            link.unlink(missing_ok=True)
            link.symlink_to(path)
    way = _python if case.way == "python" else _tools
    count = [] if case.way == "python" else ["count"]
    return [
        Step("look", Call(look, parts=parts), makes=look_makes, limit=LONG),
        *way(case, parts),
        Step(
            "report", Call(show), after=["call", "depth", "join", *count], makes=[f"results/{name}" for name in MAKES]
        ),
    ]


MAKES = ("coverage.png", "quality.png", "variants.png", "variants.csv", "consensus.fa")


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


# The first step


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


def whole(case: Case, folder: Path) -> None:
    """A BAM that breaks off is no result, whatever the program's exit status was."""
    with (folder / "results/aligned.bam").open("rb") as file:
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(size - len(BAM_END), 0))
        if file.read() != BAM_END:
            raise Unfit("The alignment breaks off: its file has no end.", "比对文件不完整：缺少结束标记。")


# The way of the tools


def _tools(case: Case, parts: list[str]) -> Iterator[Step]:
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


# The way of Python


def _python(case: Case, parts: list[str]) -> Iterator[Step]:
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


# The last steps


def show(case: Case) -> dict[str, Any]:
    """The consensus, figures, the table, numbers and the reading."""
    parts = [f"{number:02d}" for number in range(1, pieces(case) + 1)]
    looked = facts(case)
    places = looked["regions"]
    depth = genome.depths([case.file(f"depth-{part}.tsv") for part in parts], places)
    report(0.2)
    found = genome.variants(case.file("results/variants.vcf.gz"))
    sequences = reads.sequences(case.file("reference.fa"))
    text = genome.consensus(sequences, places, depth, found, case.inputs["depth"])
    Path("results/consensus.fa").write_text(text, encoding="ascii")
    report(0.4)
    outcome = Outcome(
        kind=kind(case),
        regions=places,
        depth=depth,
        variants=found,
        quality=genome.quality(case.file("fastp.json")),
        mapped=genome.mapped(case.file("flagstat.json")),
        longest=looked["longest"],
    )
    return results(case, outcome, Path("results"))
