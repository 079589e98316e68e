"""Which variants are in these reads? The steps, for both ways.

`tools` (and `bcftools`, where there is no freebayes) runs the field's own programs, `python` the same graph with
libraries from PyPI. The first step (`first`) looks at all that was given (`given`), the last one tells what came out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perijove.apps import Call, Case, Step, report

from . import alone, genome, reads, tools
from .alone import clean, depth, find, join, place
from .first import facts, look
from .given import LONG, given, kind, links, pieces
from .results import Outcome, results
from .tools import whole

# The engine finds what steps call and check with here, by name.
__all__ = ["clean", "depth", "find", "join", "look", "place", "show", "steps", "whole"]


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
    way = alone if case.way == "python" else tools
    count = [] if case.way == "python" else ["count"]
    return [
        Step("look", Call(look, parts=parts), makes=look_makes, limit=LONG),
        *way.steps(case, parts),
        Step(
            "report", Call(show), after=["call", "depth", "join", *count], makes=[f"results/{name}" for name in MAKES]
        ),
    ]


MAKES = ("coverage.png", "quality.png", "variants.png", "variants.csv", "consensus.fa")


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
