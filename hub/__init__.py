"""Who, where and how much: the broker, the JupyterHub configuration, pages and the command line."""

if __name__ != "perijove.hub":
    raise ImportError("import perijove.hub, not hub: install the package with `pip install -e .`")
