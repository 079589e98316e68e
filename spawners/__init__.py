"""How something is started and reached at a centre."""

if __name__ != "perijove.spawners":
    raise ImportError("import perijove.spawners, not spawners: install the package with `pip install -e .`")
