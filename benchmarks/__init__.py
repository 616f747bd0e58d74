"""Performance, each figure a ratio to a peer measured in the same run: `python -m benchmarks.NAME`."""
