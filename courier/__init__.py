"""The delivery side: tells callers' own servers what became of their jobs. Never loads torch, nor
what serves HTTP."""
