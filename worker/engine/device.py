"""To the device without waiting for it, and waiting until it is done."""

import torch
from torch import Tensor


def finish(device: torch.device) -> None:
    """Waits until all that was asked of the device is done.

    Raises:
        torch.AcceleratorError: some of it failed.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device, without waiting for it: a GPU fetches it from pinned memory, which
    torch keeps until it has."""
    if device.type != "cuda" or tensor.numel() == 0:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
