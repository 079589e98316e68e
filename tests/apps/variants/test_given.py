"""What people give the variant finder: reads, mates, references and regions, good and bad."""

from __future__ import annotations

import gzip
from pathlib import Path

import pysam
import pytest
from harness.variants import DATA, FIRST, SECOND, fastq, planted, run
from hypothesis import given
from hypothesis import strategies as st
from perijove.apps import Unfit
from perijove.apps.variants import reads, regions

MEASLES = DATA / "measles.fa"


def cut(source: Path, path: Path, length: int) -> Path:
    path.write_bytes(source.read_bytes()[:length])
    return path


def text_of(source: Path) -> str:
    return gzip.decompress(source.read_bytes()).decode()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("empty.fastq", "", "is empty"),
        ("text.fastq.gz", "@a\nACGT\n+\nIIII\n", "is called gzip but is not"),
        ("cut.fastq", "@a\nACGT\n+\nIIII\n" * 2 + "@b\nACGT\n", "ends in the middle of read 3"),
        ("short.fastq", "@a\nACGT\n+\nIII\n", "read 1 does not have four lines"),
        ("letters.fastq", "@a\nAC!T\n+\nIIII\n", "letters that are no bases"),
        ("genome.fastq", ">chr1\nACGT\n", "it has no qualities"),
        ("sam.fastq", "@HD\tVN:1.6\n@SQ\tSN:a\tLN:5\n", "SAM text"),
        ("words.fastq", "Dear reader,\n", "no FASTQ file"),
        ("nothing.fastq", "\n\n", "no FASTQ file"),
    ],
)
def test_reads_that_are_none_are_told_apart(tmp_path: Path, name: str, text: str, words: str) -> None:
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("@a\nACGT\n+\nIIII\n", "but reads"),
        ("hello\n", "no FASTA file"),
        (">a\nMKVLF\n", "no protein"),
        (">a\nACGT\n>a\nACGT\n", "two sequences named a"),
        (">a\n>b\nACGT\n", "a is empty"),
        (">\nACGT\n", "no name"),
        (">a,<b>\nACGT\n", "no name"),
    ],
)
def test_a_reference_that_is_none_is_told_apart(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "genome.fa").write_text(text)
    with pytest.raises(Unfit, match=words) as error:
        reads.sequences(tmp_path / "genome.fa")
    assert error.value.input == "reference"


def test_a_gzip_reference_is_read_unless_it_breaks_off(tmp_path: Path) -> None:
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
