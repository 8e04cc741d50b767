"""The HTTP side: validates requests, puts jobs on the queue, answers for them. Knows no torch."""
