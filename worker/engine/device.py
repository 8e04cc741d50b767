"""The device's own clock: calls return before their work is done."""

import torch


def finish(device: torch.device) -> None:
    """Waits until all that was asked of the device is done.

    Raises:
        torch.AcceleratorError: some of it failed.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
