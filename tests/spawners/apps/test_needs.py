"""What a run takes follows from what was filled in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from perijove.spawners.apps.expressions import BadExpression
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.needs import UNSEEN_SIZE, needs

Change = Callable[[str, str], Path]


def test_expressions_see_the_inputs_and_the_sizes_of_files(every: App) -> None:
    values = Inputs(every).parse({"count": 4, "period": [1961, 1990]})
    assert needs(every, values).seconds == pytest.approx(4 * 29 + 15 / 16)  # 65536 reads of 15 bytes, in MiB
    own = Inputs(every).parse({"count": 4, "reads": "own.fq"})
    assert needs(every, own).seconds == pytest.approx(4 * 29 + UNSEEN_SIZE)
    assert needs(every, own, sizes={"reads": 3.0}).seconds == pytest.approx(4 * 29 + 3)


def test_a_place_with_other_cores_changes_what_rests_on_them(changed: Change) -> None:
    changed("cores = 1", 'cores = "ceil(years / 50)"\nworkers = "cores * 2"\nmemory = "256 * cores"')
    changed('memory = "512M"\n', "")
    app = load(changed('seconds = "2 + years / 5000"', 'seconds = "1000 / cores"'))
    values = Inputs(app).parse({})
    here, there = needs(app, values), needs(app, values, cores=10)
    assert (here.cores, here.workers, here.memory, here.seconds) == (2, 4, 512, 500)
    assert (there.cores, there.workers, there.memory, there.seconds) == (10, 20, 2560, 100)
    assert (here.walltime, there.walltime) == (1500, 600)
    assert (here.small, there.small) == (False, True)
    assert here.as_dict()["worker"] == {"cores": 1, "memory": 2048, "walltime": 3600}


def test_amounts_may_be_written_as_people_write_them(changed: Change) -> None:
    app = load(changed('disk = "10M"', 'disk = "2G"\nwalltime = "2h"\nsmall = "cores > 1"'))
    found = needs(app, Inputs(app).parse({}))
    assert (found.disk, found.walltime, found.memory, found.small) == (2048, 7200, 512, False)


def test_nothing_is_negative_or_without_bounds(changed: Change) -> None:
    app = load(changed('seconds = "2 + years / 5000"', 'seconds = "(years - 5000) * 1e12"\nworkers = "years * 1e9"'))
    low, high = (needs(app, Inputs(app).parse({"years": years})) for years in (1, 10000))
    assert (low.seconds, low.walltime) == (0, 600)
    assert (high.seconds, high.walltime, high.workers) == (30 * 86400, 30 * 86400, 1000)


def test_an_expression_without_a_value_names_its_key(changed: Change) -> None:
    app = load(changed('disk = "10M"', 'disk = "1 / (years - 7)"'))
    with pytest.raises(BadExpression, match=r"needs\.disk: "):
        needs(app, Inputs(app).parse({"years": 7}))
