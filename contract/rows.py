"""Rows of a U-Net call: what a picture costs at each step."""


def rows_of(guidance: float) -> int:
    """Rows of one picture: without guidance it needs no unconditional one, and half the work."""
    return 2 if guidance > 1.0 else 1


def guided_steps(guidance: float, start: float, stop: float, steps: int) -> range:
    """The steps at which a picture brings its second row, counted as diffusers' guiders do it.

    Args:
        start, stop: shares of the steps; what they make of them is rounded down.

    Returns:
        The steps from 0 on; none without guidance, or where the share is less than one step.
    """
    if rows_of(guidance) == 1:
        return range(0)
    return range(int(start * steps), int(stop * steps))
