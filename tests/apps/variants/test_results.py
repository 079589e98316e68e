"""The variant finder, run through the engine: with Python alone everywhere, with the real tools where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pysam
import pytest
from harness.variants import fastq, found, numbers, planted, run
from perijove.apps.variants import results


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
    assert "pwned" not in (tmp_path / "run" / "work" / "fastp.json").read_text()
    out = tmp_path / "run/results"
    with pysam.AlignmentFile(str(out / "aligned.bam")) as bam:
        assert "pwned" not in str(bam.header)
    reference_file = tmp_path / "run" / "work" / "reference.fa"
    with pysam.FastaFile(str(reference_file)) as fasta:
        assert fasta.fetch("chr1") == reference
    import subprocess

    command = [
        "bcftools",
        "consensus",
        "-f",
        str(reference_file),
        str(out / "variants.vcf.gz"),
    ]
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
    assert name not in (tmp_path / "run" / "work" / "fastp.json").read_text()


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
