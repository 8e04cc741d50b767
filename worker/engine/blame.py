"""Whose fault a failure on the device is: the picture's that met it alone, or the device's."""

import torch

from contract.errors import EngineFault, GenerationError, OutOfMemory
from worker.engine.model import Model
from worker.engine.unet_timing import unet_seconds

PROBE_ROWS = 2  # one guided picture, for which any device that passed the start has room


class DeviceFailed(Exception):
    """The device fails at what it could do when the worker began, so no picture is to blame."""


def blame(model: Model, error: Exception) -> GenerationError:
    """The error of the picture that failed alone.

    Raises:
        DeviceFailed: a plain call of the U-Net fails as well, or the device says that it is lost.
    """
    if isinstance(error, torch.AcceleratorError):  # CUDA's own state is broken from here on
        raise DeviceFailed(str(error)) from error
    try:
        unet_seconds(model, PROBE_ROWS, model.native_shape, repeats=0)
    except Exception as failure:
        raise DeviceFailed(str(failure)) from failure
    return fault(error)


def fault(error: Exception) -> GenerationError:
    """The error of ours that a failure on the device stands for."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return OutOfMemory("The device ran out of memory on this picture alone.")
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return EngineFault(f"The engine failed on this picture: {reason}")
