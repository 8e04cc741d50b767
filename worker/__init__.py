"""The GPU side: takes jobs from the queue, develops them in batches, publishes the pictures."""

import os

# Before torch loads OpenMP, whose idle threads spin for so long that two torch processes on the
# same cores mostly wait for each other. A short spin costs one process alone next to nothing, and
# two of them run several times as fast: benchmarks/neighbours.py measures both.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
