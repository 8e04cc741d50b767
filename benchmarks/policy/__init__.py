"""Ways to serve requests on one device, side by side: the parts of benchmarks/policies.py."""
