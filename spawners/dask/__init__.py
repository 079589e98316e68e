"""Dask clusters at a centre: the head (scheduler and scaling), its workers, and the way to it through the gateway."""
