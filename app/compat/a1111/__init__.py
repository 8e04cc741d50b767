"""AUTOMATIC1111's API: what clients of its web UI call, under /sdapi/v1."""
