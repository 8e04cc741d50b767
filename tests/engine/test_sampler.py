"""Tables against the schedulers that they were read from, run as diffusers' pipeline runs them."""

import inspect
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contract.errors import SamplerRefused
from contract.samplers import SAMPLERS
from tests.checkpoints import scheduler_config
from worker.engine import noise
from worker.engine.sampler import (
    HISTORY,
    PROGRAM_WIDTH,
    SamplerTable,
    _Noise,
    build_table,
    make_scheduler,
    sampler_support,
)

PREDICTIONS = ("epsilon", "v_prediction", "sample")
SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
REFUSE_SAMPLE_PREDICTION = ("euler_a", "kdpm2", "pndm")
STOCHASTIC = {"euler_a", "ddpm", "dpmpp_2m_sde", "lcm"}
COMBINATIONS = [
    (sampler, prediction, schedule)
    for sampler in SAMPLERS
    for prediction in PREDICTIONS
    for schedule in SCHEDULES
    if not (prediction == "sample" and sampler in REFUSE_SAMPLE_PREDICTION)
]
SHAPE = (2, 4, 4)  # channels, height, width
TOLERANCE = 1e-4  # of the largest value in the trajectory; float32, as pictures are developed

Trajectory = list[Tensor]


def smooth_model(x: Tensor, timestep: float) -> Tensor:
    """A model output that depends on latents, place and timestep, as a real one would."""
    phase = torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape)
    return torch.tanh(0.6 * x + 0.2 * x.flip(-1)) + 0.3 * torch.sin(phase + timestep / 200)


def by_scheduler(sampler: str, steps: int, config: dict[str, Any]) -> Trajectory:
    """What diffusers' scheduler makes of the model, after every model evaluation."""
    scheduler = make_scheduler(sampler, config)
    scheduler.set_timesteps(steps)
    source = noise.generator(3)
    takes = inspect.signature(scheduler.step).parameters
    extra = {"generator": source} if "generator" in takes else {}
    x = noise.draw(source, *SHAPE)[None] * scheduler.init_noise_sigma
    trajectory = []
    for t in scheduler.timesteps:
        e = smooth_model(scheduler.scale_model_input(x, t), float(t))
        x = scheduler.step(e, t, x, **extra, return_dict=False)[0]
        trajectory.append(x)
    return trajectory


def by_table(table: SamplerTable) -> Trajectory:
    """The formula at the head of `sampler.py`, one picture, one coefficient after the other."""
    source = noise.generator(3)
    xs = [noise.draw(source, *SHAPE)[None] * table.init_noise_sigma]
    es: list[Tensor] = []
    for i in range(len(table)):
        es.append(smooth_model(xs[i] * float(table.input_scale[i]), float(table.timesteps[i])))
        after = torch.zeros_like(xs[0])
        for k in range(min(i + 1, HISTORY)):
            after += float(table.latent_coefficients[i, k]) * xs[i - k]
            after += float(table.output_coefficients[i, k]) * es[i - k]
        if table.draws[i]:
            after += float(table.noise_coefficients[i]) * noise.draw(source, *SHAPE)[None]
        xs.append(after)
    return xs[1:]


def assert_same_trajectory(sampler: str, steps: int, config: dict[str, Any]) -> None:
    expected = torch.stack(by_scheduler(sampler, steps, config))
    found = torch.stack(by_table(build_table(sampler, steps, config)))
    assert found.shape == expected.shape
    worst = ((found - expected).abs().max() / expected.abs().max()).item()
    assert worst <= TOLERANCE, f"{sampler} at steps={steps} is off by {worst:.1e}"


@pytest.mark.parametrize(("sampler", "prediction", "schedule"), COMBINATIONS)
def test_a_table_reproduces_its_scheduler(sampler: str, prediction: str, schedule: str) -> None:
    breaks = (sampler, schedule) == ("dpmpp_2m_karras", "squaredcos_cap_v2")  # above 3 steps
    steps = 3 if breaks else 7
    assert_same_trajectory(sampler, steps, scheduler_config(prediction, schedule))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_history_is_long_enough_for_one_two_and_three_steps(sampler: str) -> None:
    for steps in (1, 2, 3):
        assert_same_trajectory(sampler, steps, scheduler_config())


@pytest.mark.parametrize(
    ("sampler", "steps"), [(name, 50 if name == "lcm" else 150) for name in SAMPLERS]
)
def test_the_history_is_long_enough_for_the_most_steps(sampler: str, steps: int) -> None:
    assert_same_trajectory(sampler, steps, scheduler_config())


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_table_follows_the_checkpoints_timestep_spacing(sampler: str, spacing: str) -> None:
    config = scheduler_config("v_prediction", timestep_spacing=spacing)
    assert_same_trajectory(sampler, 6, config)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_only_stochastic_samplers_draw_noise(sampler: str) -> None:
    table = build_table(sampler, 6, scheduler_config())
    assert any(table.draws) == (sampler in STOCHASTIC)
    assert all(table.draws[i] for i in np.flatnonzero(table.noise_coefficients))


@pytest.mark.parametrize("sampler", ["heun", "kdpm2"])
def test_second_order_samplers_evaluate_the_model_more_often_than_they_step(sampler: str) -> None:
    table = build_table(sampler, 6, scheduler_config())
    assert table.steps == 6
    assert len(table) == 11


@pytest.mark.parametrize(
    ("sampler", "evaluations"),
    [
        ("euler", [range(1), range(1, 2), range(4, 5)]),
        ("heun", [range(2), range(2, 4), range(8, 9)]),
        ("kdpm2", [range(2), range(2, 4), range(8, 9)]),
        ("pndm", [range(2), range(2, 3), range(5, 6)]),
    ],
)
def test_the_model_evaluations_of_a_step_are_its_own(
    sampler: str, evaluations: list[range]
) -> None:
    table = build_table(sampler, 5, scheduler_config("epsilon"))
    steps = (range(1), range(1, 2), range(4, 5))
    assert [table.evaluations(each) for each in steps] == evaluations
    assert table.evaluations(range(5)) == range(len(table))
    assert len(table.evaluations(range(2, 2))) == 0


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_how_often_a_sampler_evaluates_the_model_is_known_without_it(
    sampler: str, steps: int
) -> None:
    table = build_table(sampler, steps, scheduler_config())
    assert len(table) == SAMPLERS[sampler].evaluations(steps)


def test_a_program_holds_the_table_row_by_row() -> None:
    table = build_table("lms", 6, scheduler_config())
    program = table.program(torch.device("cpu"))
    assert program.shape == (6, PROGRAM_WIDTH)
    assert program.dtype == torch.float32
    np.testing.assert_allclose(program[:, 0], table.timesteps)
    np.testing.assert_allclose(program[:, 1], table.input_scale, rtol=1e-6)
    np.testing.assert_allclose(program[:, 2 : 2 + HISTORY], table.latent_coefficients, rtol=1e-6)
    np.testing.assert_allclose(program[:, 2 + HISTORY : -1], table.output_coefficients, rtol=1e-6)
    np.testing.assert_allclose(program[:, -1], table.noise_coefficients)


@pytest.mark.parametrize("sampler", REFUSE_SAMPLE_PREDICTION)
def test_what_diffusers_does_not_predict_is_refused_with_its_reason(sampler: str) -> None:
    with pytest.raises(SamplerRefused, match=rf"^diffusers refuses {sampler} at steps=4: .*sample"):
        build_table(sampler, 4, scheduler_config("sample"))


def test_lcm_is_refused_past_its_own_fifty_steps() -> None:
    build_table("lcm", 50, scheduler_config())
    with pytest.raises(SamplerRefused, match=r"lcm at steps=51: .*50 x 1\.0 is smaller than"):
        build_table("lcm", 51, scheduler_config())


@pytest.mark.parametrize("steps", [4, 7, 20, 30, 50])
def test_karras_on_a_cosine_schedule_is_refused_where_diffusers_breaks(steps: int) -> None:
    config = scheduler_config(beta_schedule="squaredcos_cap_v2")
    with pytest.raises(IndexError):
        by_scheduler("dpmpp_2m_karras", steps, config)
    with pytest.raises(SamplerRefused, match=f"dpmpp_2m_karras at steps={steps}: .*out of bounds"):
        build_table("dpmpp_2m_karras", steps, config)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "deis"])
def test_thresholding_is_refused_as_not_linear(sampler: str) -> None:
    config = scheduler_config() | {"thresholding": True, "sample_max_value": 1.0}
    with pytest.raises(SamplerRefused, match=f"{sampler} at steps=5 is not linear .* thresholds"):
        build_table(sampler, 5, config)


@pytest.mark.parametrize("sampler", ["heun", "lcm"])
def test_clipping_is_refused_as_not_linear(sampler: str) -> None:
    config = scheduler_config() | {"clip_sample": True, "clip_sample_range": 1.0}
    with pytest.raises(SamplerRefused, match=f"{sampler} at steps=5 is not linear .* clips"):
        build_table(sampler, 5, config)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_samplers_whose_override_turns_clipping_off_work_on_a_clipping_checkpoint(
    sampler: str,
) -> None:
    config = scheduler_config() | {"clip_sample": True}
    assert_same_trajectory(sampler, 6, config)


def test_a_schedule_that_becomes_nan_is_refused() -> None:
    config = scheduler_config() | {"trained_betas": [float("nan")] * 1000}
    with pytest.raises(SamplerRefused, match="euler at steps=4"):
        build_table("euler", 4, config)


def test_support_tells_the_most_steps_of_each_sampler() -> None:
    support = sampler_support(scheduler_config(), most_steps=150)
    assert list(support) == list(SAMPLERS)
    assert {name: entry.refusal for name, entry in support.items() if entry.refusal} == {}
    assert support["lcm"].max_steps == 50
    assert {entry.max_steps for name, entry in support.items() if name != "lcm"} == {150}


def test_support_tells_why_a_checkpoint_cannot_use_a_sampler() -> None:
    support = sampler_support(scheduler_config("sample"), most_steps=20)
    refused = {name for name, entry in support.items() if entry.refusal is not None}
    assert refused == set(REFUSE_SAMPLE_PREDICTION)
    for name in refused:
        assert "prediction_type" in (support[name].refusal or "")
        assert support[name].max_steps == 0


def test_support_refuses_karras_on_a_cosine_schedule() -> None:
    config = scheduler_config(beta_schedule="squaredcos_cap_v2")
    support = sampler_support(config, most_steps=50)
    assert {name for name, entry in support.items() if entry.refusal} == {"dpmpp_2m_karras"}


def test_every_sampler_names_a_scheduler_of_diffusers() -> None:
    for name, entry in SAMPLERS.items():
        scheduler = make_scheduler(name, scheduler_config())
        assert type(scheduler).__name__ == entry.scheduler
        for key, value in entry.overrides.items():
            assert scheduler.config[key] == value


def test_reading_a_table_leaves_the_configuration_as_it_was() -> None:
    config = scheduler_config()
    build_table("dpmpp_sde_single", 5, config)
    assert config == scheduler_config()


@pytest.mark.parametrize("sampler", sorted(STOCHASTIC))
def test_reading_a_table_draws_no_number_from_torchs_own_generator(sampler: str) -> None:
    before = torch.get_rng_state()
    build_table(sampler, 6, scheduler_config())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_probes_noise_reaches_its_own_thread_alone_and_ends_with_it() -> None:
    ours = torch.full((3,), 7.0)
    elsewhere: list[Tensor] = []
    with _Noise(lambda: ours) as intercepted:
        other = threading.Thread(target=lambda: elsewhere.append(torch.randn(3)))
        other.start()
        other.join()
        assert torch.randn(3) is ours
    assert intercepted.draws == 1
    assert elsewhere[0].tolist() != ours.tolist()
    assert torch.randn(3).tolist() != ours.tolist()


@pytest.mark.parametrize(
    ("sampler", "reach"),
    [("euler", (1, 0)), ("ddim", (1, 0)), ("dpmpp_2m_karras", (2, 1)), ("lms", (1, 3))],
)
def test_a_checkpoint_needs_as_much_of_the_past_as_the_sampler_looks_back(
    sampler: str, reach: tuple[int, int]
) -> None:
    table = build_table(sampler, 10, scheduler_config("epsilon"))
    assert table.reach(5) == reach
    assert table.reach(10) == (1, 0)
