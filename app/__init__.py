"""The HTTP side: requests come in, are judged, and wait in Redis. Never loads torch."""
