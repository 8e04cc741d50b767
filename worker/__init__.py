"""The GPU side: takes jobs from the queue, develops them in batches, publishes the pictures."""

import os
from pathlib import Path

# Before torch loads OpenMP, whose idle threads spin while they wait. Where several torch processes
# share cores they spin in each other's way; a short spin costs one process alone nothing, and three
# on two cores run 1.5 times as fast (benchmarks/neighbours.py).
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

# Before torch's first large tensor: it then asks for huge pages, where the kernel has them, which
# spares the processor looking up where each small one is (benchmarks/cpu_environments.py).
if Path("/sys/kernel/mm/transparent_hugepage").exists():
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
