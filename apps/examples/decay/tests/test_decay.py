"""The app is sound, and runs: `python -m pytest`."""

from __future__ import annotations

from pathlib import Path

import pytest
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import load
from perijove.spawners.request import BadRequest

HERE = Path(__file__).parent.parent


def test_the_manifest_is_sound_and_every_preset_fits() -> None:
    app = load(HERE)
    for preset in app.presets:
        assert Inputs(app).parse(preset.inputs)


def test_a_half_life_of_nothing_is_refused() -> None:
    with pytest.raises(BadRequest, match="half_life: must be at least"):
        Inputs(load(HERE)).parse({"half_life": 0})
