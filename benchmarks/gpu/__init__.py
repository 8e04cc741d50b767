"""The sections of benchmarks/gpu_report.py, and the page that is made of them."""
