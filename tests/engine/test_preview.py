"""Previews against the pictures that come out."""

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tests.checkpoints import scheduler_config
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model
from worker.engine.picture import Developed, Preview
from worker.engine.preview import Clean, Previewer, preview_steps
from worker.engine.sampler import make_scheduler

LIKE = 0.75
"""No linear map comes nearer than 0.95 to what the starter's VAE makes of its latents."""

APPLE = Wish(prompt="red apple", steps=10, width=128, height=128)
APPLE_64 = Wish(prompt="red apple", steps=8)


def develop(engine: Engine) -> tuple[dict[Hashable, Developed], list[Preview]]:
    pictures: dict[Hashable, Developed] = {}
    previews: list[Preview] = []
    while not engine.is_idle:
        report = engine.step()
        assert not report.spoiled
        pictures |= {developed.key: developed for developed in report.developed}
        previews += report.previews
    return pictures, previews


def likeness(preview: Tensor, picture: NDArray[np.uint8]) -> float:
    """Correlation of a preview with the picture, made as small."""
    pixels = torch.tensor(picture).permute(2, 0, 1).float()[None]
    small = functional.adaptive_avg_pool2d(pixels, preview.shape[:2])[0].permute(1, 2, 0)
    pair = torch.stack([small.flatten(), preview.float().flatten()])
    return float(torch.corrcoef(pair)[0, 1])


@pytest.mark.parametrize(
    ("previews", "evaluations", "expected"),
    [
        (0, 30, ()),
        (1, 30, (15,)),
        (4, 10, (2, 4, 6, 8)),
        (10, 4, (1, 2, 3)),
        (3, 1, ()),
        (9, 150, (15, 30, 45, 60, 75, 90, 105, 120, 135)),
    ],
)
def test_previews_are_evenly_spread_and_never_the_picture_itself(
    previews: int, evaluations: int, expected: tuple[int, ...]
) -> None:
    assert preview_steps(previews, evaluations) == expected


@pytest.mark.parametrize("sampler", ["dpmpp_2m_karras", "euler", "lcm"])
def test_a_preview_grows_into_the_picture(starter: Model, sampler: str) -> None:
    engine = Engine(starter, RowBudget(8, starter.native_shape))
    wish = replace(APPLE, sampler=sampler)
    engine.add(replace(wish.picture(starter, "shown"), previews=9))
    pictures, previews = develop(engine)
    assert [preview.index for preview in previews] == list(range(9))
    assert [preview.share for preview in previews] == [n / 10 for n in range(1, 10)]
    assert all(preview.pixels.shape == (16, 16, 3) for preview in previews)
    found = [likeness(preview.pixels, pictures["shown"].pixels) for preview in previews]
    assert found[-1] > LIKE
    assert found[-1] > found[0]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_x0_is_what_diffusers_predicts(prediction: str, sampler: str) -> None:
    """Whether a sampler keeps its latents at unit variance (ddim) or not (euler)."""
    config = scheduler_config(prediction)
    scheduler = make_scheduler(sampler, config)
    scheduler.set_timesteps(7)
    clean = Clean(config)
    x, e = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    for t in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, t)
        expected = scheduler.step(e, t, x).pred_original_sample
        a, b = clean.coefficients(float(t))
        torch.testing.assert_close(a * seen + b * e, expected, rtol=1e-3, atol=1e-3)


def test_to_be_shown_changes_no_picture(engine: Engine) -> None:
    plain, shown = APPLE_64.picture(engine.model, "plain"), APPLE_64.picture(engine.model, "shown")
    engine.add(plain)
    engine.add(replace(shown, previews=3))
    pictures, previews = develop(engine)
    assert {preview.key for preview in previews} == {"shown"}
    assert np.array_equal(pictures["plain"].pixels, pictures["shown"].pixels)


def test_nothing_is_fitted_while_nobody_asks(engine: Engine) -> None:
    engine.add(APPLE_64.picture(engine.model, "plain"))
    develop(engine)
    assert "previewer" not in vars(engine)


def test_a_picture_outlives_its_previews(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> Tensor:
        raise torch.OutOfMemoryError("none left")

    monkeypatch.setattr(Previewer, "show", full)
    engine.add(replace(APPLE_64.picture(engine.model, "shown"), previews=3))
    pictures, previews = develop(engine)
    assert (list(pictures), previews) == (["shown"], [])


def test_a_resumed_picture_is_shown_from_where_it_goes_on(engine: Engine) -> None:
    picture = replace(APPLE_64.picture(engine.model, "shown"), previews=3)
    engine.add(picture)
    first = [preview.index for _ in range(4) for preview in engine.step().previews]
    start = engine.checkpoints()["shown"]
    engine.remove(["shown"])
    engine.add(replace(picture, start=start))
    assert first + [preview.index for preview in develop(engine)[1]] == [0, 1, 2]
