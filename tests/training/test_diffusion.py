"""The papers' formulas, against each other and against diffusers."""

import pytest
import torch
from diffusers import DDIMScheduler

from training.diffusion import (
    add_noise,
    clean_of,
    ddim,
    guided,
    loss_weights,
    noise_of,
    scaled_linear,
    scheduler_config,
    trailing_timesteps,
    velocity,
)
from training.recipe import ScheduleRecipe

SCHEDULE = scaled_linear(ScheduleRecipe())


def latents(seed: int) -> torch.Tensor:
    return torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def scheduler() -> DDIMScheduler:
    return DDIMScheduler.from_config(scheduler_config(ScheduleRecipe()))


def test_velocity_gives_back_picture_and_noise() -> None:
    x0, e = latents(0), latents(1)
    alpha, sigma = SCHEDULE.at(torch.tensor([10, 900]))
    x_t, v = add_noise(x0, e, alpha, sigma), velocity(x0, e, alpha, sigma)
    assert torch.allclose(clean_of(x_t, v, alpha, sigma), x0, atol=1e-5)
    assert torch.allclose(noise_of(x_t, v, alpha, sigma), e, atol=1e-5)


def test_noise_and_velocity_are_those_of_diffusers(scheduler: DDIMScheduler) -> None:
    x0, e, t = latents(0), latents(1), torch.tensor([3, 700])
    alpha, sigma = SCHEDULE.at(t)
    expected = scheduler.add_noise(x0, e, t)
    assert torch.allclose(add_noise(x0, e, alpha, sigma), expected, atol=1e-5)
    expected = scheduler.get_velocity(x0, e, t)
    assert torch.allclose(velocity(x0, e, alpha, sigma), expected, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 10, 25])  # elsewhere diffusers' steps overlap a little
def test_the_sampler_goes_the_way_of_diffusers(scheduler: DDIMScheduler, steps: int) -> None:
    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return 0.3 * x + t[:, None, None, None] / 1000

    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == trailing_timesteps(steps, 1000)
    expected = latents(2)
    *_, (made, _) = ddim(denoise, latents(2), SCHEDULE, steps)
    for t in scheduler.timesteps:
        expected = scheduler.step(denoise(expected, t.repeat(2)), t, expected).prev_sample
    assert torch.allclose(made, expected, atol=1e-4)


def test_guidance_one_is_the_prompt_alone() -> None:
    def denoise(x: torch.Tensor, t: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        return x + prompts.mean(dim=(1, 2))[:, None, None, None]

    x, t = latents(0), torch.tensor([5, 5])
    empty, asked = torch.zeros(2, 3, 8), torch.ones(2, 3, 8)
    assert torch.allclose(guided(denoise, empty, asked, 1.0)(x, t), x + 1)
    assert torch.allclose(guided(denoise, empty, asked, 3.0)(x, t), x + 3)


def test_weights_are_bounded_on_both_ends() -> None:
    ratios = torch.tensor([100.0, 1.0, 0.001])
    weights = loss_weights(ratios, most=5.0, least=0.3)
    assert torch.allclose(weights * (ratios + 1), torch.tensor([5.0, 1.0, 0.3]))
