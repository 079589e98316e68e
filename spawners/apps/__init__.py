"""Apps, described once: manifests, what people fill in, what a run takes, and the engine that runs it at a centre."""
