"""The variant finder, run through the engine: with Python alone everywhere, with the real tools where they are."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perijove.apps import Unfit
from perijove.apps.variants import calling, figures, genome, reads, regions, results
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import load
from perijove.spawners.apps.needs import needs
from perijove.spawners.apps.pool import Here
from perijove.spawners.apps.runner import Runner

APP = Path(__file__).parent.parent.parent / "apps/variants"
DATA = APP / "data"
FIRST, SECOND = DATA / "Hm2_GTGAAA_L005_R1_001.fastq.gz", DATA / "Hm2_GTGAAA_L005_R2_001.fastq.gz"
MEASLES = DATA / "measles.fa"
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


@pytest.fixture
def python_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where none of the programs is installed."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    beside = [tool for tool in TOOLS if (Path(sys.executable).parent / tool).exists()]
    assert not beside


@pytest.fixture(scope="module")
def tools() -> None:
    """A machine where all of them are; without them the test is skipped, but not where the real thing is asked for."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        say = pytest.fail if os.environ.get("PERIJOVE_REAL") == "1" else pytest.skip
        say(f"apt-get install {' '.join(missing)}")


@pytest.fixture(scope="module")
def usual(tools: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the report of a run of the tools with everything as the form has it at first."""
    folder = tmp_path_factory.mktemp("usual") / "case"
    return folder, run(folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The same where none of the programs is installed."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder))
        return folder / "case", run(folder / "case")


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


# What comes out


def test_python_alone_finds_the_variants_of_the_measles_sample(alone: tuple[Path, dict[str, Any]]) -> None:
    folder, report = alone
    assert report["way"] == "python"
    values = numbers(report)
    assert values["reads"] == 2998
    assert 87 < values["mapped"] < 89
    assert 15.5 < values["depth"] < 16.5
    # The library's releases may move one or two.
    assert abs(values["variants"] - (results.FOUND + results.OTHERS)) <= 3
    assert values["snps"] + values["indels"] == values["variants"] == len(found(folder))
    out = folder / "run/results"
    with pysam.VariantFile(str(out / "variants.vcf.gz")) as vcf, pysam.AlignmentFile(str(out / "aligned.bam")) as bam:
        assert [record.pos for record in vcf.fetch("ENA|K01711|K01711.1", 545, 560)] == [551]
        assert bam.count("ENA|K01711|K01711.1", 545, 560) > 5
    for figure in report["results"]["figures"]:
        assert figure["width"] > 800
        assert figure["alt"]["en"] != figure["alt"]["zh"]
        assert any(letter.isdigit() for letter in figure["alt"]["en"])
    reading = report["results"]["reading"]
    assert "not for diagnosis" in reading["en"] and "诊断" in reading["zh"]
    assert f"{results.FOUND} of their 77" in reading["en"]


def test_the_tools_find_77_variants_in_the_measles_sample_and_76_that_are_sure(
    usual: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    report = usual[1]
    assert report["way"] == "tools"
    assert numbers(report)["variants"] == 77
    assert round(numbers(report)["mapped"], 1) == 88.2
    # One of them is worth no more than 17: with the chance of an error below 1 % there are 76.
    assert numbers(run(tmp_path / "sure", quality=20))["variants"] == 76


def test_the_reading_says_how_the_two_ways_differ(
    usual: tuple[Path, dict[str, Any]], alone: tuple[Path, dict[str, Any]]
) -> None:
    one, other = found(usual[0]), found(alone[0])
    assert (len(one & other), len(other - one)) == (results.FOUND, results.OTHERS)


@pytest.mark.parametrize("choice", [{"caller": "freebayes"}, {"aligner": "minimap2"}])
def test_other_tools_agree_in_most(usual: tuple[Path, dict[str, Any]], tmp_path: Path, choice: dict[str, Any]) -> None:
    numbers(run(tmp_path / "other", **choice))
    one, other = found(usual[0]), found(tmp_path / "other")
    assert len(one & other) >= 0.85 * len(one | other)


def test_the_number_of_regions_changes_nothing(usual: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    report = run(tmp_path / "other", pieces=3)
    assert numbers(report) == numbers(usual[1])
    assert found(usual[0]) == found(tmp_path / "other")
    assert next(step["parts"]["total"] for step in report["steps"] if step["name"] == "call") == 3


@pytest.mark.usefixtures("tools")
@pytest.mark.real
def test_long_reads_of_e_coli_are_aligned_and_called_in_a_region(tmp_path: Path) -> None:
    if not Path("/usr/share/doc/wtdbg2-examples/selfSampleData.tar.gz").exists():
        pytest.skip("apt-get install wtdbg2-examples")
    report = run(tmp_path, sample="ecoli", share=8, region="1000001-1100000", depth=2)
    values = numbers(report)
    assert values["reads"] == 16_890 * 8 // 100
    assert values["mapped"] > 98
    assert 0.5 < values["depth"] < 4
    assert "ecoliK12_mutated" in report["results"]["reading"]["en"]


STRANGE = "a 'b' \"c\" $(touch pwned)`id`;|& ü.fastq"


def strange_run(folder: Path, name: str = STRANGE, **inputs: Any) -> dict[str, Any]:
    """The planted variants, in files with the worst of names."""
    reference, sample, _ = planted()
    fastq(folder / "home" / name, sample)
    (folder / "home/-o genome $HOME.fa").write_text(f">chr1\n{reference}\n")
    return run(folder, sample="own", reads=name, reference="-o genome $HOME.fa", pieces=1, **inputs)


@pytest.mark.usefixtures("python_alone")
def test_planted_variants_are_found_and_nothing_else_and_names_of_files_are_only_names(tmp_path: Path) -> None:
    _, sample, truth = planted()
    assert numbers(strange_run(tmp_path))["indels"] == 2
    assert not list(tmp_path.rglob("pwned"))
    assert found(tmp_path) == truth
    consensus = "".join((tmp_path / "run/results/consensus.fa").read_text().splitlines()[1:])
    # Where too few reads lie, at the ends, it says N.
    known = consensus.strip("N")
    assert known in sample and len(known) > 2950


@pytest.mark.usefixtures("tools")
def test_the_tools_find_the_planted_variants_with_bcftools_consensus_and_hear_no_name_of_a_file(tmp_path: Path) -> None:
    reference, _, truth = planted()
    numbers(strange_run(tmp_path, depth=1))
    assert found(tmp_path) == truth
    assert not list(tmp_path.rglob("pwned"))
    assert "pwned" not in (tmp_path / "run/work/fastp.json").read_text()
    out = tmp_path / "run/results"
    with pysam.AlignmentFile(str(out / "aligned.bam")) as bam:
        assert "pwned" not in str(bam.header)
    with pysam.FastaFile(str(tmp_path / "run/work/reference.fa")) as fasta:
        assert fasta.fetch("chr1") == reference
    import subprocess

    command = ["bcftools", "consensus", "-f", str(tmp_path / "run/work/reference.fa"), str(out / "variants.vcf.gz")]
    theirs = "".join(subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()[1:])
    ours = "".join((out / "consensus.fa").read_text().splitlines()[1:])
    assert len(ours) == len(theirs)
    assert all(mine in (base, "N") for mine, base in zip(ours, theirs, strict=True))
    assert ours.count("N") < 20


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("name", ["-i a $(touch pwned).fastq", "--version 'b'.fastq", 'a##idx##b,c=1 "d" .fastq'])
@pytest.mark.parametrize("choice", [{}, {"aligner": "minimap2", "caller": "freebayes"}], ids=["bwa", "minimap2"])
def test_no_tool_takes_a_name_for_an_option(tmp_path: Path, name: str, choice: dict[str, Any]) -> None:
    report = strange_run(tmp_path, name, depth=1, **choice)
    assert report["state"] == "done", report["failure"]
    assert len(found(tmp_path) & planted()[2]) >= len(planted()[2]) - 1  # freebayes writes one of them another way
    assert not list(tmp_path.rglob("pwned"))
    assert name not in (tmp_path / "run/work/fastp.json").read_text()


@pytest.mark.usefixtures("python_alone")
def test_no_variant_at_all_is_a_result(tmp_path: Path) -> None:
    reference, _, _ = planted(2)
    fastq(tmp_path / "home/reads.fastq", reference)
    (tmp_path / "home/genome.fa").write_text(f">chr1\n{reference}\n")
    report = run(tmp_path, sample="own", reads="reads.fastq", reference="genome.fa", language="zh", pieces=1)
    assert numbers(report)["variants"] == 0
    assert "No difference" in report["results"]["reading"]["en"]
    assert report["results"]["tables"][0]["count"] == 0


@pytest.mark.parametrize("way", ["python_alone", "tools"])
def test_reads_of_something_else_bring_a_warning(tmp_path: Path, way: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(way)
    fastq(tmp_path / "home/reads.fastq", planted(3)[0])
    (tmp_path / "home/genome.fa").write_text(f">chr1\n{planted(4)[0]}\n")
    report = run(tmp_path, sample="own", reads="reads.fastq", reference="genome.fa", pieces=1)
    assert numbers(report)["mapped"] < 1
    assert report["results"]["reading"]["en"].startswith("Take care: only 0.0 % of the reads fit the reference")


@pytest.mark.parametrize("way", ["python_alone", "tools"])
def test_a_name_with_a_line_break_is_refused_or_works_but_does_nothing_else(
    tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(way)
    reference, sample, _ = planted()
    name = "a\n$(touch pwned).fastq"
    fastq(tmp_path / "home" / name, sample)
    (tmp_path / "home/genome.fa").write_text(f">chr1\n{reference}\n")
    report = run(tmp_path, sample="own", reads=name, reference="genome.fa")
    assert report["state"] == "done" or (report["failure"]["code"], report["failure"]["input"]) == (
        "bad-input",
        "reads",
    )
    assert not list(tmp_path.rglob("pwned"))


# What people give


def cut(source: Path, path: Path, length: int) -> Path:
    path.write_bytes(source.read_bytes()[:length])
    return path


def text_of(source: Path) -> str:
    return gzip.decompress(source.read_bytes()).decode()


def test_reads_that_are_none_are_told_apart(tmp_path: Path) -> None:
    lines = text_of(FIRST).splitlines(keepends=True)
    cases = {
        "empty.fastq": ("", "is empty"),
        "text.fastq.gz": ("@a\nACGT\n+\nIIII\n", "is called gzip but is not"),
        "cut.fastq": ("".join(lines[:10]), "ends in the middle of read 3"),
        "short.fastq": ("@a\nACGT\n+\nIII\n", "read 1 does not have four lines"),
        "letters.fastq": ("@a\nAC!T\n+\nIIII\n", "letters that are no bases"),
        "genome.fastq": (">chr1\nACGT\n", "it has no qualities"),
        "sam.fastq": ("@HD\tVN:1.6\n@SQ\tSN:a\tLN:5\n", "SAM text"),
        "words.fastq": ("Dear reader,\n", "no FASTQ file"),
        "nothing.fastq": ("\n\n", "no FASTQ file"),
    }
    for name, (text, words) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(Unfit, match=words) as error:
            reads.examine(tmp_path / name, None)
        assert error.value.input == "reads"
        assert error.value.words["zh"] != error.value.words["en"]


@pytest.mark.parametrize("length", [5, 1000, 50_000, FIRST.stat().st_size - 3])
def test_a_damaged_gzip_file_is_found_wherever_it_breaks_off(tmp_path: Path, length: int) -> None:
    with pytest.raises(Unfit, match="damaged gzip"):
        reads.examine(cut(FIRST, tmp_path / "reads.fastq.gz", length), None)


def test_a_bam_is_no_fastq(tmp_path: Path) -> None:
    path = tmp_path / "reads.fastq"
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}, "SQ": [{"SN": "a", "LN": 100}]})
    with pysam.AlignmentFile(str(path), "wb", header=header):
        pass
    with pytest.raises(Unfit, match="a BAM file"):
        reads.examine(path, None)


def test_mates_that_do_not_belong_together_are_found(tmp_path: Path) -> None:
    lines = text_of(SECOND).splitlines(keepends=True)
    cases = {"fewer": lines[:-4], "other": lines[4:] + lines[:4]}
    words = {"fewer": "1498 reads, .* has more", "other": "Pair 1 has different names"}
    for name, part in cases.items():
        (tmp_path / name).write_text("".join(part))
        with pytest.raises(Unfit, match=words[name]) as error:
            reads.examine(FIRST, tmp_path / name)
        assert error.value.input == "mates"
    with pytest.raises(Unfit, match="the same one"):
        reads.examine(FIRST, FIRST)
    assert reads.examine(FIRST, SECOND) == reads.Reads(2998, 302_798, 101, True)


def test_a_reference_that_is_none_is_told_apart(tmp_path: Path) -> None:
    cases = {
        "": "is empty",
        "@a\nACGT\n+\nIIII\n": "but reads",
        "hello\n": "no FASTA file",
        ">a\nMKVLF\n": "no protein",
        ">a\nACGT\n>a\nACGT\n": "two sequences named a",
        ">a\n>b\nACGT\n": "a is empty",
        ">\nACGT\n": "no name",
        ">a,<b>\nACGT\n": "no name",
    }
    for text, words in cases.items():
        (tmp_path / "genome.fa").write_text(text)
        with pytest.raises(Unfit, match=words) as error:
            reads.sequences(tmp_path / "genome.fa")
        assert error.value.input == "reference"
    packed = gzip.compress(MEASLES.read_bytes())
    (tmp_path / "genome.fa.gz").write_bytes(packed)
    assert list(reads.sequences(tmp_path / "genome.fa.gz")) == ["ENA|K01711|K01711.1"]
    (tmp_path / "genome.fa.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(Unfit, match="damaged gzip"):
        reads.sequences(tmp_path / "genome.fa.gz")


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("20000-30000", "has the bases 1-15894"),
        ("0-500", "is not within"),
        ("500-400", "is not within"),
        ("chr7:1-500", "no place"),
        ("here", "no place"),
        ("1-50", "shorter than 100"),
    ],
)
def test_a_region_that_there_is_not_is_said(region: str, words: str) -> None:
    with pytest.raises(Unfit, match=words) as error:
        regions.regions(region, {"ENA|K01711|K01711.1": 15_894})
    assert error.value.input == "region"


def test_regions_are_read_as_people_write_them() -> None:
    lengths = {"a|b:c": 1000, "d": 2000}
    assert regions.regions("", lengths) == [("a|b:c", 0, 1000), ("d", 0, 2000)]
    assert regions.regions("d:1,001-1,200; a|b:c:1-100;d:1100 - 1300", lengths) == [
        ("a|b:c", 0, 100),
        ("d", 1000, 1300),
    ]
    assert regions.regions("d", lengths) == [("d", 0, 2000)]
    assert regions.asked("d:1,001-1,200; a|b:c:1-100") == 298
    assert regions.asked("d") == 0
    with pytest.raises(Unfit, match="has 2 sequences"):
        regions.regions("1-500", lengths)


@given(st.lists(st.integers(100, 5000), min_size=1, max_size=5), st.integers(1, 64))
def test_shares_are_even_and_leave_nothing_out(sizes: list[int], parts: int) -> None:
    whole = [(str(number), 7, 7 + size) for number, size in enumerate(sizes)]
    shares = regions.share(whole, parts)
    assert len(shares) == parts
    lengths = [sum(end - start for _, start, end in share) for share in shares]
    assert max(lengths) - min(lengths) <= 1 and sum(lengths) == sum(sizes)
    flat = [(name, at) for share in shares for name, start, end in share for at in range(start, end)]
    assert flat == [(name, at) for name, start, end in whole for at in range(start, end)]


@pytest.mark.usefixtures("python_alone")
def test_bad_input_ends_a_run_before_anything_else_with_the_input_to_blame(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    cut(FIRST, tmp_path / "home/reads.fastq.gz", 50_000)
    report = run(tmp_path, sample="own", reads="reads.fastq.gz", reference="data:measles_reference")
    assert (report["state"], report["failure"]["code"]) == ("failed", "bad-input")
    assert (report["failure"]["step"], report["failure"]["input"]) == ("look", "reads")
    assert "damaged gzip" in report["failure"]["message"]["en"]
    assert not list((tmp_path / "run/results").iterdir())


@pytest.mark.usefixtures("python_alone")
def test_long_reads_are_not_taken_for_short_ones(tmp_path: Path) -> None:
    fastq(tmp_path / "home/reads.fastq", planted()[0], length=1500)
    report = run(tmp_path, sample="own", reads="reads.fastq", reference="data:measles_reference")
    assert report["failure"]["input"] == "kind"


@pytest.mark.parametrize("way", ["python_alone", "tools"])
def test_reads_of_which_none_is_good_enough_end_the_run_in_words(
    tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(way)
    path = fastq(tmp_path / "home/reads.fastq", planted()[0])
    path.write_text(path.read_text().replace("I" * 100, "#" * 100))
    report = run(tmp_path, sample="own", reads="reads.fastq", reference="data:measles_reference")
    assert (report["state"], report["failure"]["step"]) == ("failed", "clean")
    failure = report["failure"]
    assert "lower" in failure["message"]["en"] + failure["advice"]["en"]


def test_an_alignment_that_breaks_off_is_no_result(tmp_path: Path) -> None:
    from perijove.apps.variants import pipeline

    (tmp_path / "results").mkdir()
    path = tmp_path / "results/aligned.bam"
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}, "SQ": [{"SN": "a", "LN": 100}]})
    with pysam.AlignmentFile(str(path), "wb", header=header):
        pass
    pipeline.whole(None, tmp_path)  # type: ignore[arg-type]  # it looks at the folder alone
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Unfit, match="breaks off"):
        pipeline.whole(None, tmp_path)  # type: ignore[arg-type]


# The parts


@given(st.integers(1, 200), st.integers(0, 200), st.sampled_from([0.001, 0.03, 0.15]))
def test_more_reads_for_a_variant_never_make_it_less_likely(depth: int, alternate: int, error: float) -> None:
    alternate = min(alternate, depth - 1)
    fewer, _ = calling.judge(depth, alternate, error, 1)
    more, _ = calling.judge(depth, alternate + 1, error, 1)
    assert more >= fewer


def test_genotypes_follow_the_shares_of_reads() -> None:
    assert calling.judge(30, 15, 0.01, 2)[1] == "0/1"
    assert calling.judge(30, 30, 0.01, 2)[1] == "1/1"
    assert calling.judge(30, 1, 0.01, 2)[0] <= 0
    assert calling.judge(300, 300, 0.01, 1) == (calling.HIGHEST, "1")


def test_figures_are_in_english_where_no_letters_for_chinese_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FONTS", ("DejaVu Sans",))  # it is there, and has none
    assert figures.chinese_font() is None
    assert figures.Labels("zh")("depth") == figures.Labels("en")("depth") == "Reads over a base"


def test_the_consensus_puts_variants_in_and_hides_what_was_not_seen() -> None:
    import numpy as np

    sequences = {"a": "ACGTACGTACGT"}
    depth = [np.array([0, 0, *[9] * 10])]
    calls = [
        genome.Variant("a", 4, "T", "C", 50, 9, 1, "1"),
        genome.Variant("a", 6, "CGT", "C", 50, 9, 1, "1"),
        genome.Variant("a", 7, "G", "A", 40, 9, 1, "1"),
        genome.Variant("a", 10, "C", "CTT", 50, 9, 1, "1"),
        genome.Variant("a", 12, "T", "C", 50, 9, 0.5, "0/1"),
    ]
    text = genome.consensus(sequences, [("a", 0, 12)], depth, calls, 3)
    assert text == ">a\nNNGCACACTTGY\n"
    assert genome.consensus(sequences, [("a", 4, 8)], [np.full(4, 9)], [], 3) == ">a:5-8\nACGT\n"


def test_the_manifest_is_sound_and_asks_for_more_where_there_is_more_to_do() -> None:
    app = load(APP)
    small = needs(app, Inputs(app).parse({}))
    preset = app.preset("ecoli")
    assert preset is not None
    large = needs(app, Inputs(app).parse(preset.inputs))
    assert small.small and not large.small
    assert large.seconds > 10 * small.seconds
    assert large.disk > small.disk
