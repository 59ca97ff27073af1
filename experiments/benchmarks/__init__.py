"""Benchmarks: how long things take, as ratios to peers measured in the same call."""
