"""Reads the folder of an app: its manifest with every fault by file, key and line, its files, its digest."""

from __future__ import annotations

from pathlib import Path

from perijove.spawners.apps.consistency import inconsistencies
from perijove.spawners.apps.folder import BadFolder, digest_of
from perijove.spawners.apps.manifest import FILE, App
from perijove.spawners.centrefaults import MOST_FAULTS, CentreFault, CentreFaults, explain, key_text
from perijove.spawners.tomllines import Lines
from perijove.spawners.tomltext import MOST_BYTES, text_of, toml_of
from pydantic import ValidationError


class BadApp(CentreFaults):
    """An app that cannot be used; `faults` has everything that is wrong with it."""


def read(folder: Path) -> App:
    """The app in `folder`.

    Raises:
        BadApp: with every fault.
    """
    folder = folder.absolute()
    file = folder / FILE
    name = str(file)
    try:
        with file.open("rb") as stream:
            text = text_of(name, stream.read(MOST_BYTES + 1))
        lines, data = Lines(text), toml_of(name, text)
        app = App.model_validate(data)
    except OSError as error:
        raise BadApp([CentreFault(name, 1, "", f"cannot be read: {error.strerror}")]) from None
    except CentreFaults as error:
        raise BadApp(error.faults) from None
    except ValidationError as error:
        errors = [e for e in error.errors(include_url=False) if e["loc"]]
        faults = [explain(name, lines.of(e["loc"]), e, App) for e in errors[:MOST_FAULTS]]
        if len(errors) > MOST_FAULTS:
            faults.append(CentreFault(name, 1, "", f"has {len(errors) - MOST_FAULTS:,} more faults"))
        raise BadApp(sorted(faults, key=lambda fault: fault.line)) from None
    app._folder = folder
    try:
        app._digest = digest_of(folder)
    except BadFolder as bad:
        raise BadApp([CentreFault(str(folder), 1, "", str(bad))]) from None
    wrong = [CentreFault(name, lines.of(key), key_text(key), words) for key, words in inconsistencies(app)]
    if wrong:
        raise BadApp(sorted(wrong[:MOST_FAULTS], key=lambda fault: fault.line))
    return app
