"""The parts of the load tester, benchmarks/load.py."""
