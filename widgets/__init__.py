"""What a person sees inside a notebook or an app."""

if __name__ != "perijove.widgets":
    raise ImportError("import perijove.widgets, not widgets: install the package with `pip install -e .`")
