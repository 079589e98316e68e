"""What a session of kind `lab` runs, `python -m perijove.widgets.lab`: JupyterHub's server for one person, and ours.

Jupyter finds our server extension, our part of JupyterLab and the default language in folders of this package, whose
paths come first in its own search paths: nothing is copied into the centre's environment, and a session of another
gateway in the same environment is not touched.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from perijove.spawners.facts import Facts

_JUPYTER = Path(__file__).parent / "jupyter"
#: The locale of JupyterLab's language packs, by the person's language.
_LOCALES = {"zh": "zh_CN"}


def prepare(environment: MutableMapping[str, str]) -> None:
    """Put our folders first in Jupyter's search paths.

    The language is a default in the centre's sense: what the person chooses in JupyterLab's own settings wins, and
    without the language pack JupyterLab stays English.
    """
    folders = [_JUPYTER / "config"]
    if locale := _LOCALES.get(Facts.read(environment).language):
        folders.append(_JUPYTER / locale)
    for name, ours in (("JUPYTER_CONFIG_PATH", folders), ("JUPYTER_PATH", [_JUPYTER / "data"])):
        theirs = [environment[name]] if environment.get(name) else []
        environment[name] = os.pathsep.join([*map(str, ours), *theirs])


def main() -> None:
    """The session's command; arguments are those of `jupyterhub-singleuser`."""
    prepare(os.environ)
    from jupyterhub.singleuser import main as serve

    serve()


if __name__ == "__main__":
    main()
