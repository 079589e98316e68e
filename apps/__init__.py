"""Point-and-click apps, one folder each."""

if __name__ != "perijove.apps":
    raise ImportError("import perijove.apps, not apps: install the package with `pip install -e .`")
