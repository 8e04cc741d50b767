"""A device that is a table of measured step times, and what works with it."""
