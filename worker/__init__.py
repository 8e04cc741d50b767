"""The GPU side: takes jobs from the queue, develops them in batches, publishes the pictures."""

import os

# Before torch loads OpenMP, whose idle threads spin while they wait. Where several torch processes
# share cores they spin in each other's way; a short spin costs one process alone nothing, and three
# on two cores run 1.5 times as fast (benchmarks/neighbours.py).
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
