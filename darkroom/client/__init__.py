"""A client of the service. It knows nothing of the service but what goes over the wire."""
