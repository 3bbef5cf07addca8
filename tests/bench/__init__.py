"""The benchmark: plait beside its peers, in one run. ``python -m tests.bench --help``."""
