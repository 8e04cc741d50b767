"""A half-developed picture as bytes: what another engine needs to go on from the same step.

A picture that is resumed equals one that never was interrupted, since a step depends on nothing
else: those of the last latents and model outputs that its sampler will refer to, how many steps are
done, and the state of the picture's own generator. What the steps are made of stands in the
fingerprint.
"""

import hashlib
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from worker.engine.fingerprint import code_fingerprint
from worker.engine.model import Model
from worker.engine.sampler import SamplerTable
from worker.engine.stream import Moment


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """All tensors are on the CPU, or on their way to it."""

    step: int  # model evaluations done
    latents: Tensor  # [1 to HISTORY, channels, h, w] float32, newest first
    outputs: Tensor  # [0 to HISTORY, channels, h, w] float32, newest first
    generator: Tensor  # [bytes] uint8, the state of the picture's generator
    copied: Moment | None = None  # from when on the tensors are whole, if they are not yet

    def wait(self) -> None:
        """Until the tensors are whole. Any thread may.

        Raises:
            DeviceFailed: they never will be.
        """
        if self.copied is not None:
            self.copied.wait()

    def to_bytes(self, fingerprint: bytes) -> bytes:
        """As a safetensors file, once the tensors are whole."""
        self.wait()
        return save(
            {
                "step": torch.tensor(self.step),
                "latents": self.latents.contiguous(),
                "outputs": self.outputs.contiguous(),
                "generator": self.generator,
                "fingerprint": torch.frombuffer(bytearray(fingerprint), dtype=torch.uint8),
            }
        )


def read_checkpoint(content: bytes, fingerprint: bytes) -> Checkpoint | None:
    """What `to_bytes` wrote; None where it is damaged, or was made by another model, sampler table
    or engine than the fingerprint names: the picture then starts over."""
    try:
        tensors = load(content)
        if bytes(tensors["fingerprint"].tolist()) != fingerprint:
            return None
        return Checkpoint(
            step=int(tensors["step"]),
            latents=tensors["latents"],
            outputs=tensors["outputs"],
            generator=tensors["generator"],
        )
    except (SafetensorError, KeyError, ValueError):
        return None


def fingerprint_of(model: Model, table: SamplerTable) -> bytes:
    """Names all that the steps of a picture follow from, but for its own request."""
    made_by = f"{code_fingerprint()} {model.fingerprint} {model.dtype} {model.device.type}"
    digest = hashlib.sha256(made_by.encode())
    digest.update(table.program(torch.device("cpu")).numpy().tobytes())
    return digest.digest()
