"""Chance as a function of seed and step.

Nothing random outlives a step, so a run that stops and goes on draws what it would have drawn, and
no generator needs to be saved.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draw:
    """What a step may draw from."""

    seed: int  # of the stage
    step: int
    generator: torch.Generator  # on the CPU, this step's own

    def rows(self, count: int, batch: int) -> Tensor:
        """[batch] out of `count`: each epoch visits everything once, in an order of its own.

        What does not fill a batch at an epoch's end is left out, so no batch holds a row twice.
        """
        batch = min(batch, count)
        epoch, place = divmod(self.step, count // batch)
        shuffled = torch.randperm(count, generator=_generator(self.seed, "epoch", epoch))
        return shuffled[place * batch : (place + 1) * batch]

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        """From 0 to 1."""
        return torch.rand(shape, generator=self.generator)

    def place(self, count: int) -> int:
        """From 0 to count - 1."""
        return int(torch.randint(count, (), generator=self.generator))


def draw_of(seed: int, step: int) -> Draw:
    """Also seeds torch's own generators, which dropout and the like draw from."""
    torch.manual_seed(_number(seed, "torch", step))
    return Draw(seed, step, _generator(seed, "step", step))


def stage_seed(seed: int, stage: str) -> int:
    """A seed of its own for each stage, so that no two draw alike."""
    return _number(seed, stage, 0)


def _generator(seed: int, purpose: str, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(_number(seed, purpose, number))


def _number(seed: int, purpose: str, number: int) -> int:
    text = f"{seed}/{purpose}/{number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
