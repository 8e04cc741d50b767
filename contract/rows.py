"""Rows of a U-Net call: what a picture costs at each step."""


def rows_of(guidance: float) -> int:
    """Rows of one picture: without guidance it needs no unconditional one, and half the work."""
    return 2 if guidance > 1.0 else 1
