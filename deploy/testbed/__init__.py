"""Real batch systems on one machine, in namespaces: a tool for developers and tests, not for the gateway."""

if __name__ != "perijove.testbed":
    raise ImportError("import perijove.testbed, not testbed: install the package with `pip install -e .`")
