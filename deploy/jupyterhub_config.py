"""JupyterHub's configuration file: `PERIJOVE_CONFIG=perijove.toml jupyterhub -f jupyterhub_config.py`."""

from perijove.hub.jupyterhub import configure
from perijove.hub.settings import from_environment

configure(get_config(), from_environment())  # type: ignore[name-defined]  # noqa: F821
