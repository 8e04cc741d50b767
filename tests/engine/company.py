"""The real engine at work on pictures that come and go, and the latents that they ended in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from contract.errors import GenerationError
from tests.reference import Reference, Wish
from worker.engine.engine import Engine

LATENT_LIMIT = 1e-4
"""max |difference| / max |reference| that two float32 runs of one picture may differ by."""

PIXEL_LIMIT = 1  # of 255


@dataclass(frozen=True, slots=True)
class Arrival:
    wish: Wish
    at: int = 0  # the engine step before which it arrives
    gone_at: int | None = None  # the engine step before which it is removed


@dataclass(frozen=True, slots=True)
class Finished:
    latents: Tensor  # [channels, h, w] float32
    pixels: NDArray[np.uint8]  # [height, width, 3] RGB
    warnings: tuple[str, ...]
    step: int  # the engine step at which it was finished


@dataclass(slots=True)
class Outcome:
    """What became of the arrivals, by their index; `rows` are those of each U-Net call."""

    finished: dict[int, Finished] = field(default_factory=dict)
    spoiled: dict[int, GenerationError] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)


def develop_together(engine: Engine, arrivals: Sequence[Arrival]) -> Outcome:
    """Runs the engine until nothing is left to do or to arrive."""
    outcome = Outcome()
    last_event = max(max(arrival.at, arrival.gone_at or 0) for arrival in arrivals)
    step = 0
    while not engine.is_idle or step <= last_event:
        for i, arrival in enumerate(arrivals):
            if arrival.at == step:
                engine.add(arrival.wish.picture(engine.model, i))
        engine.remove([i for i, arrival in enumerate(arrivals) if arrival.gone_at == step])
        report = engine.step()
        outcome.rows.append(report.rows)
        for made in report.developed:
            outcome.finished[int(str(made.key))] = Finished(
                made.end.latents[0], made.pixels, made.warnings, step
            )
        outcome.spoiled |= {int(str(lost.key)): lost.error for lost in report.spoiled}
        step += 1
    return outcome


def latent_error(found: Tensor, expected: Tensor) -> float:
    difference = (found - expected.to(found)).abs().max() / expected.abs().max()
    return float(difference)


def pixel_error(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> int:
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


def assert_exact(found: Finished, expected: Reference, index: int = 0) -> None:
    """Raises unless the picture is the reference's of this index, in latents and in pixels."""
    worst = latent_error(found.latents, expected.latents[index])
    assert worst <= LATENT_LIMIT, f"latents are off by {worst:.1e}"
    worst = pixel_error(found.pixels, expected.pixels[index])
    assert worst <= PIXEL_LIMIT, f"pixels are off by {worst} of 255"
