"""The pipeline's graph: sound before anything runs, in an order in which everything comes after what it needs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from perijove.spawners.apps.steps import BadPipeline, Step

#: Steps of one run, parts counted.
MOST = 10_000


@dataclass(frozen=True)
class Graph:
    """The steps by key, in order; what each waits for, and all that comes before it."""

    steps: dict[str, Step]
    needs: dict[str, frozenset[str]]
    before: dict[str, frozenset[str]]

    @property
    def last(self) -> list[Step]:
        """The steps that nothing waits for."""
        waited = frozenset().union(*self.needs.values())
        return [step for key, step in self.steps.items() if key not in waited]


def graph(steps: Sequence[Step], names: Collection[str]) -> Graph:
    """The graph of `steps`; `names` are the manifest's.

    Raises:
        BadPipeline: no steps, a name that the manifest does not have, two of one key, an unknown step in `after`, two
            that make the same file, or a circle.
    """
    by_key: dict[str, Step] = {}
    if not isinstance(steps, list | tuple) or not steps or not all(isinstance(step, Step) for step in steps):
        raise BadPipeline("steps(case) must return a list of Step, at least one")
    if len(steps) > MOST:
        raise BadPipeline(f"the pipeline has {len(steps)} steps; at most {MOST} are taken")
    for step in steps:
        if step.name not in names:
            raise BadPipeline(f"step {step.name!r} is not in the manifest's [steps]: {', '.join(sorted(names))}")
        if step.key in by_key:
            raise BadPipeline(f"there are two steps {step.key}: give each a `part` of its own")
        by_key[step.key] = step
    _outputs(steps)
    needs = {step.key: _needs(step, by_key) for step in steps}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise BadPipeline(f"steps wait for each other in a circle: {' -> '.join(error.args[1])}") from None
    place = {key: number for number, key in enumerate(by_key)}
    before: dict[str, frozenset[str]] = {}
    for key in order:
        before[key] = needs[key].union(*(before[other] for other in needs[key]))
    # As the author wrote them where that is sound, for people.
    depth = {key: len(before[key]) for key in order}
    ordered = sorted(order, key=lambda key: (depth[key], place[key]))
    return Graph({key: by_key[key] for key in ordered}, needs, before)


def _needs(step: Step, by_key: dict[str, Step]) -> frozenset[str]:
    found: set[str] = set()
    for wanted in step.after:
        keys = {key for key, other in by_key.items() if wanted in (key, other.name)}
        if not keys:
            raise BadPipeline(f"step {step.key} comes after {wanted!r}, which there is not")
        found |= keys
    return frozenset(found)


def _outputs(steps: Sequence[Step]) -> None:
    makers: dict[str, str] = {}
    for step in steps:
        for name in step.makes:
            if name in makers:
                raise BadPipeline(f"{makers[name]} and {step.key} both make {name!r}")
            makers[name] = step.key
    for name, maker in makers.items():
        parents = [parent for parent in makers if name.startswith(f"{parent}/")]
        if parents:
            raise BadPipeline(f"{maker} makes {name!r} inside {parents[0]!r}, which {makers[parents[0]]} makes")
