"""AdamW, its learning rate over time, and the moving average of the weights."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.recipe import Optimisation


@dataclass(frozen=True, slots=True)
class Trained:
    """A module that a stage trains, and its share of the learning rate."""

    module: nn.Module
    rate: float = 1.0


def rate_at(step: int, recipe: Optimisation) -> float:
    """The learning rate as a share of its highest: a rise, a plateau, a fall."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    start = max(recipe.warmup_steps, recipe.decay_from * recipe.steps)
    done = min(max((step - start) / max(recipe.steps - start, 1), 0.0), 1.0)
    left = 1 - done if recipe.decay == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return recipe.last_rate + (1 - recipe.last_rate) * left


def make_optimiser(trained: Sequence[Trained], recipe: Optimisation) -> torch.optim.AdamW:
    """Weight decay falls on matrices and kernels only (Loshchilov & Hutter 2019)."""
    groups = []
    for each in trained:
        weights = [weight for weight in each.module.parameters() if weight.requires_grad]
        for decay, chosen in (
            (recipe.weight_decay, [weight for weight in weights if weight.dim() > 1]),
            (0.0, [weight for weight in weights if weight.dim() <= 1]),
        ):
            groups.append({"params": chosen, "weight_decay": decay, "share": each.rate})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, step: int, recipe: Optimisation) -> float:
    rate = recipe.learning_rate * rate_at(step, recipe)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
    return rate


class Average:
    """An exponential moving average of the weights, which is what a stage ends with.

    Early on it follows faster, so that it does not remember the random start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._weights = list(module.parameters())
        self._decay = decay
        self.values = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [w.detach() for w in self._weights], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """For a while the module has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def restore(self, values: Sequence[Tensor]) -> None:
        for mine, saved in zip(self.values, values, strict=True):
            mine.copy_(saved)

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, value in zip(self._weights, self.values, strict=True):
            kept = weight.detach().clone()
            weight.copy_(value)
            value.copy_(kept)
