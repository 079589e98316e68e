"""The parts of the variant finder: genotypes, labels, the consensus, its manifest."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest
from harness.variants import APP
from hypothesis import given
from hypothesis import strategies as st
from perijove.apps import Unfit
from perijove.apps.variants import calling, figures, genome
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import load
from perijove.spawners.apps.needs import needs


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
