"""Benchmarks are scripts that import each other by name."""

import sys

from tests.service import ROOT

sys.path.append(str(ROOT / "benchmarks"))
