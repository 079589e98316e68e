"""Perijove: a Jupyter science gateway for a federation of supercomputing centres."""

__version__ = "0.1.0"
