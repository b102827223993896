"""Measure riverrun against the bare work and against its peers: `python -m benchmarks.run`."""
