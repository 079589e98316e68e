"""What people get: numbers, figures with words for those who do not see them, the table, a reading in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perijove.apps import Case, report

from . import figures, genome
from .regions import Region

#: Percent of reads on the reference below which the two hardly belong together.
FOREIGN = 20.0
#: Mean depth below which much is missed.
SHALLOW = 10.0
#: Part of the reads below which one copy of the genome does not explain a variant.
MIXED = 0.8
#: What the simple caller finds of the 77 variants that the tools find in the measles sample, and how many others:
#: measured by `tests/apps/variants/test_results.py`, which holds it.
FOUND, OTHERS = 71, 5


@dataclass(frozen=True)
class Outcome:
    """All that was found. `depth`: reads over each base, one array a region; `mapped`: reads, and those mapped."""

    kind: str
    regions: list[Region]
    depth: list[Any]
    variants: list[genome.Variant]
    quality: genome.Quality
    mapped: tuple[int, int]
    longest: int

    @property
    def bases(self) -> int:
        """Bases that were looked at."""
        return sum(end - start for _, start, end in self.regions)

    @property
    def mapped_percent(self) -> float:
        """Of the kept reads."""
        return 100 * self.mapped[1] / max(self.mapped[0], 1)

    @property
    def mean_depth(self) -> float:
        """Reads over a base, on average."""
        return sum(float(values.sum()) for values in self.depth) / max(self.bases, 1)

    def breadth(self, least: int) -> float:
        """Percent of the bases over which at least `least` reads lie."""
        return 100 * sum(int((values >= least).sum()) for values in self.depth) / max(self.bases, 1)

    def count(self, *kinds: str) -> int:
        """Variants of these kinds."""
        return sum(one.kind in kinds for one in self.variants)


def results(case: Case, outcome: Outcome, folder: Path) -> dict[str, Any]:
    """Writes figures and table into `folder`; what the engine shows."""
    labels, axis = figures.Labels(case.language), figures.Axis(outcome.regions)
    least_depth, least_quality = case.inputs["depth"], case.inputs["quality"]
    asked = case.inputs["base_quality"] if outcome.kind == "short" else None
    figures.coverage(folder / "coverage.png", labels, axis, outcome.depth, least_depth)
    report(0.6)
    figures.quality(folder / "quality.png", labels, outcome.quality, asked)
    report(0.75)
    figures.places(folder / "variants.png", labels, axis, outcome.variants, least_quality)
    genome.table(outcome.variants, folder / "variants.csv")
    return {
        "numbers": {
            "reads": outcome.quality.before,
            "kept": round(100 * outcome.quality.after / max(outcome.quality.before, 1), 2),
            "mapped": round(outcome.mapped_percent, 2),
            "depth": round(outcome.mean_depth, 2),
            "breadth": round(outcome.breadth(least_depth), 2),
            "variants": len(outcome.variants),
            "snps": outcome.count("snp"),
            "indels": outcome.count("insertion", "deletion"),
        },
        "figures": {
            "positions": {"file": "variants.png", "alt": _alt_positions(outcome)},
            "coverage": {"file": "coverage.png", "alt": _alt_coverage(outcome, least_depth)},
            "quality": {"file": "quality.png", "alt": _alt_quality(outcome)},
        },
        "tables": {"table": "variants.csv"},
        "files": {
            "vcf": "variants.vcf.gz",
            "vcf_index": "variants.vcf.gz.tbi",
            "bam": "aligned.bam",
            "bam_index": "aligned.bam.bai",
            "consensus": "consensus.fa",
        },
        "reading": reading(case, outcome),
    }


def _kinds(outcome: Outcome) -> tuple[str, str]:
    """How many of each kind, in words."""
    counts = {kind: outcome.count(kind) for kind in genome.KINDS}
    en = {
        "snp": ("single base", "single bases"),
        "insertion": ("insertion", "insertions"),
        "deletion": ("deletion", "deletions"),
        "other": ("change of several bases", "changes of several bases"),
    }
    zh = {"snp": "单碱基变异", "insertion": "插入", "deletion": "缺失", "other": "多碱基变异"}
    there = {kind: count for kind, count in counts.items() if count}
    return (
        ", ".join(f"{count} {en[kind][count > 1]}" for kind, count in there.items()),
        "，".join(f"{count} 处{zh[kind]}" for kind, count in there.items()),
    )


def _alt_positions(outcome: Outcome) -> dict[str, str]:
    kinds = _kinds(outcome)
    if not outcome.variants:
        return {"en": "An empty plot: no variant passed the filters.", "zh": "空图：没有变异通过筛选。"}
    lowest = min(one.quality for one in outcome.variants)
    highest = max(one.quality for one in outcome.variants)
    single = len({name for name, _, _ in outcome.regions}) == 1
    first, last = (
        f"{one.position}" if single else f"{one.sequence}:{one.position}"
        for one in (outcome.variants[0], outcome.variants[-1])
    )
    return {
        "en": f"{len(outcome.variants)} variants along the genome, from {first} to {last}: "
        f"{kinds[0]}; qualities from {lowest:.0f} to {highest:.0f}.",
        "zh": f"沿基因组的 {len(outcome.variants)} 个变异，位置从 {first} 到 {last}：{kinds[1]}；"
        f"质量从 {lowest:.0f} 到 {highest:.0f}。",
    }


def _alt_coverage(outcome: Outcome, least: int) -> dict[str, str]:
    low = min(int(values.min()) for values in outcome.depth)
    high = max(int(values.max()) for values in outcome.depth)
    part = outcome.breadth(least)
    return {
        "en": f"Depth along {outcome.bases:,} bases: mean {outcome.mean_depth:.1f} reads, from {low} to {high}; "
        f"{part:.1f} % of the bases have at least {least}.",
        "zh": f"沿 {outcome.bases:,} 个碱基的测序深度：平均 {outcome.mean_depth:.1f} 条读段，范围 {low} 到 {high}；"
        f"{part:.1f}% 的碱基至少有 {least} 条。",
    }


def _alt_quality(outcome: Outcome) -> dict[str, str]:
    curves = outcome.quality.curves
    en, zh = [], []
    for mate in sorted({mate for mate, _ in curves}):
        before, after = curves.get((mate, "before"), []), curves.get((mate, "after"), [])
        if not before or not after:
            continue
        means = sum(before) / len(before), sum(after) / len(after)
        end = max(len(after) * 9 // 10, 1)
        tail = sum(after[end - 1 :]) / len(after[end - 1 :])
        single = len({mate for mate, _ in curves}) == 1
        who = ("reads", "读段") if single else (f"mate {mate}", f"配对 {mate}")
        en.append(f"{who[0]}: mean {means[0]:.1f} as given, {means[1]:.1f} kept, {tail:.1f} over the last tenth")
        zh.append(f"{who[1]}：原始平均 {means[0]:.1f}，保留后 {means[1]:.1f}，最后十分之一为 {tail:.1f}")
    return {
        "en": f"Mean quality along the reads; {'; '.join(en) or 'no reads were kept'}.",
        "zh": f"沿读段的平均质量；{'；'.join(zh) or '没有保留的读段'}。",
    }


def reading(case: Case, outcome: Outcome) -> dict[str, str]:
    """The result in plain words, and what it does not say."""
    en: list[str] = []
    zh: list[str] = []
    for first, second in (*_warnings(case, outcome), *_found(case, outcome), *_doubts(case, outcome)):
        en.append(first)
        zh.append(second)
    return {"en": " ".join(en), "zh": "".join(zh)}


Words = list[tuple[str, str]]


def _warnings(case: Case, outcome: Outcome) -> Words:
    words: Words = []
    percent = outcome.mapped_percent
    if percent < FOREIGN:
        words.append(
            (
                f"Take care: only {percent:.1f} % of the reads fit the reference; they are most likely from "
                "something else.",
                f"请注意：只有 {percent:.1f}% 的读段与参考序列相符，它们很可能来自别的物种或样本。",
            )
        )
    elif outcome.mean_depth < SHALLOW:
        words.append(
            (
                f"Take care: on average only {outcome.mean_depth:.1f} reads lie over a base; variants will have "
                "been missed.",
                f"请注意：平均每个碱基只有 {outcome.mean_depth:.1f} 条读段，会有变异被漏掉。",
            )
        )
    return words


def _percent(value: float) -> str:
    """One decimal, and 100 only where it is all."""
    return f"{value:.1f}" if value >= 100 or value < 99.95 else "99.9"


def _found(case: Case, outcome: Outcome) -> Words:
    inputs, total = case.inputs, len(outcome.variants)
    names = list(dict.fromkeys(name for name, _, _ in outcome.regions))
    where = f" {names[0]}" if len(names) == 1 else f" ({len(names)} sequences)"
    where_zh = f" {names[0]} " if len(names) == 1 else f"（{len(names)} 条序列）"
    kinds = _kinds(outcome)
    if total:
        noun = "place" if total == 1 else "places"
        first = (
            f"At {total} {noun} of {outcome.bases:,} bases the sample differs from the reference{where}: {kinds[0]}.",
            f"在 {outcome.bases:,} 个碱基中，样本与参考序列{where_zh}有 {total} 处不同：{kinds[1]}。",
        )
    else:
        first = (
            f"No difference to the reference{where} was found in {outcome.bases:,} bases with these filters; "
            "this is a result, too.",
            f"在这些筛选条件下，{outcome.bases:,} 个碱基中没有发现与参考序列{where_zh}的差异；这也是一种结果。",
        )
    least = inputs["depth"]
    breadth = outcome.breadth(least)
    second = (
        f"{_percent(outcome.mapped_percent)} % of the {outcome.quality.after:,} kept reads lie on the reference; the "
        f"mean depth is {outcome.mean_depth:.1f}, and {_percent(breadth)} % of the bases have at least {least} reads."
        + (" The others are N in the consensus: nothing can be said of them." if breadth < 100 else ""),
        f"保留的 {outcome.quality.after:,} 条读段中有 {_percent(outcome.mapped_percent)}% 比对到参考序列；"
        f"平均深度为 {outcome.mean_depth:.1f}，{_percent(breadth)}% 的碱基至少有 {least} 条读段。"
        + ("其余碱基在一致性序列中记为 N：无法对它们下结论。" if breadth < 100 else ""),
    )
    return [first, second]


def _doubts(case: Case, outcome: Outcome) -> Words:
    words: Words = []
    weak = sum(one.quality < 20 for one in outcome.variants)
    if weak:
        words.append(
            (
                f"{weak} of the variants {'has' if weak == 1 else 'have'} a quality below 20: more than 1 % chance "
                f"that {'it is' if weak == 1 else 'each is'} none.",
                f"其中 {weak} 个变异的质量低于 20，每个都有超过 1% 的可能并非真正的变异。",
            )
        )
    copies = case.inputs["ploidy"]
    mixed = sum(0 <= one.share < MIXED for one in outcome.variants)
    if copies == 1 and mixed:
        words.append(
            (
                f"{mixed} of the variants {'is' if mixed == 1 else 'are'} seen in less than four fifths of the reads "
                "there: the sample may be a mixture.",
                f"其中 {mixed} 个变异只见于该处不到五分之四的读段：样本可能是混合物。",
            )
        )
    if copies == 1:
        words.append(
            (
                "One copy of the genome was assumed, as in viruses and bacteria: a mixture shows as its larger part.",
                "计算时假定基因组只有一个拷贝（如病毒和细菌）：混合样本只显示占多数的一方。",
            )
        )
    if outcome.kind != "short":
        words.append(
            (
                "Long reads of this kind have many errors; insertions and deletions are not looked for.",
                "这类长读段错误较多，因此不寻找插入和缺失。",
            )
        )
    if case.inputs["sample"] == "ecoli":
        words.append(
            (
                "The reference calls itself ecoliK12_mutated; its makers do not say what was changed, if anything.",
                "参考序列自名为 ecoliK12_mutated；提供者没有说明改动了什么，或是否有改动。",
            )
        )
    if case.way == "python":
        words.append(
            (
                "Variants were found by a simple caller that counts bases, because the tools (bwa, samtools, bcftools) "
                f"are not all installed here. On the measles sample it finds {FOUND} of their 77 variants, and "
                f"{OTHERS} that they do not: they differ where the sample is mixed or reads are few.",
                "由于这里没有装全 bwa、samtools 和 bcftools，变异由一个只统计碱基的简单方法找出。"
                f"在麻疹样本上，它找到这些工具所得 77 个变异中的 {FOUND} 个，另有 {OTHERS} 个它们没有的："
                "差别出现在样本混合或读段很少之处。",
            )
        )
        if case.inputs["caller"] == "freebayes":
            words.append(("freebayes was asked for and is not here.", "所选的 freebayes 在这里没有安装。"))
    words.append(
        (
            "This is one sample, with no second look: not for diagnosis.",
            "这只是一个样本，未经重复验证：不可用于诊断。",
        )
    )
    return words
