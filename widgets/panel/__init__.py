"""The panel of a Dask cluster, in JupyterLab and in apps: `panel(cluster)`.

`widget.py` asks the cluster and does what people press; the JavaScript files draw it. They are put one behind the other
as they stand here (`SCRIPT`), since a widget's script is one module: no build step, nothing from outside.
"""

from __future__ import annotations

from perijove.widgets.panel.widget import Panel, panel

__all__ = ["Panel", "panel"]
