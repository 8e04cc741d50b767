from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contract.errors import EngineFault, GenerationError, NotFinite, OutOfMemory
from tests.engine.company import PIXEL_LIMIT, Arrival, assert_exact, develop_together, pixel_error
from tests.engine.conftest import References
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.conditioning import Conditioning
from worker.engine.developer import MOST_DECODED
from worker.engine.engine import Engine
from worker.engine.model import Model

MARKED = "the marked prompt"
Raise = Callable[[Exception], None]


@pytest.fixture
def fail_on_marked(engine: Engine) -> Iterator[Raise]:
    """Makes the real U-Net raise whenever the marked prompt is among its rows."""
    handles = []

    def arm(error: Exception) -> None:
        marked = engine.prompts.encode(MARKED).embedding

        def check(unet: nn.Module, args: tuple[Tensor, ...], options: dict[str, Tensor]) -> None:
            if any(torch.equal(row, marked) for row in options["encoder_hidden_states"]):
                raise error

        handles.append(engine.model.unet.register_forward_pre_hook(check, with_kwargs=True))

    yield arm
    for handle in handles:
        handle.remove()


def finish(engine: Engine) -> list[object]:
    """Keys in the order in which their pictures came out."""
    keys: list[object] = []
    while not engine.is_idle:
        keys += [made.key for made in engine.step().developed]
    return keys


def test_an_idle_engine_steps_for_nothing(engine: Engine) -> None:
    assert engine.is_idle
    assert engine.has_room
    assert engine.load == 0
    report = engine.step()
    assert (report.rows, report.joined) == (0, 0)
    assert (report.developed, report.spoiled) == ((), ())


def test_a_short_job_leaves_the_batch_before_a_long_one(engine: Engine) -> None:
    long, short = Wish(steps=12), Wish(steps=3, seed=1)
    outcome = develop_together(engine, [Arrival(long), Arrival(short, at=4)])
    assert outcome.finished[1].step == 6
    assert outcome.finished[0].step == 11
    assert outcome.rows == [2] * 4 + [4] * 3 + [2] * 5


def test_a_report_tells_when_a_picture_joined_was_denoised_and_decoded(engine: Engine) -> None:
    engine.add(Wish(steps=1).picture(engine.model, "only"))
    report = engine.step()
    (made,) = report.developed
    assert made.key == "only"
    assert made.pixels.shape == (64, 64, 3)
    assert made.joined_at < made.denoised_at < made.decoded_at
    assert (report.joined, report.rows) == (1, 2)
    assert report.step_s > 0
    assert report.decode_s > 0


def test_progress_grows_from_nothing_to_the_whole(engine: Engine) -> None:
    engine.add(Wish(steps=4).picture(engine.model, "a"))
    assert engine.progress() == {}
    found = []
    for _ in range(3):
        engine.step()
        found.append(engine.progress()["a"])
    assert found == [0.25, 0.5, 0.75]
    engine.step()
    assert engine.progress() == {}


def test_a_step_never_runs_more_rows_than_the_budget(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=5, native_shape=tiny.native_shape))
    wishes = [Wish(steps=2 + i % 3, seed=i, guidance=(7.5, 1.0)[i % 2]) for i in range(9)]
    outcome = develop_together(engine, [Arrival(wish) for wish in wishes])
    assert set(outcome.finished) == set(range(9))
    assert max(outcome.rows) == 5


def test_the_budget_counts_the_area_of_each_shape(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=4, native_shape=tiny.native_shape))
    wide = [Arrival(Wish(steps=2, seed=i, width=128)) for i in range(3)]
    assert set(develop_together(engine, wide).rows) == {2}
    small = [Arrival(Wish(steps=2, seed=i, width=32)) for i in range(4)]
    assert set(develop_together(engine, small).rows) == {8}


def test_a_guided_picture_fits_into_any_budget(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=1, native_shape=tiny.native_shape))
    engine.add(Wish(steps=1, width=128, height=128).picture(tiny, "large"))
    assert finish(engine) == ["large"]


def test_load_counts_waiting_and_running_rows_until_there_is_no_room(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=4, native_shape=tiny.native_shape))
    engine.add(Wish(steps=2).picture(tiny, "guided"))
    assert engine.load == 2
    engine.add(Wish(steps=2, guidance=1.0, width=128).picture(tiny, "wide"))
    assert engine.load == 4
    assert not engine.has_room
    engine.step()
    assert engine.load == 4
    finish(engine)
    assert engine.load == 0


def test_pictures_of_one_shape_are_admitted_in_the_order_of_their_arrival(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=2, native_shape=tiny.native_shape))
    for key in "abcd":
        engine.add(Wish(steps=2).picture(tiny, key))
    assert finish(engine) == ["a", "b", "c", "d"]


def test_a_small_picture_does_not_overtake_one_that_waits_for_room(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=3, native_shape=tiny.native_shape))
    engine.add(Wish(steps=3).picture(tiny, "first"))
    engine.add(Wish(steps=3).picture(tiny, "guided"))
    engine.add(Wish(steps=3, guidance=1.0).picture(tiny, "plain"))
    assert finish(engine) == ["first", "guided", "plain"]


def test_shapes_take_turns_so_that_none_starves(engine: Engine) -> None:
    for i, width in enumerate((64, 96, 32)):
        engine.add(Wish(steps=4, width=width).picture(engine.model, i))
    progress = []
    for _ in range(9):
        engine.step()
        progress.append(sorted(engine.progress().values()))
    assert progress[2] == [0.25, 0.25, 0.25]
    assert progress[5] == [0.5, 0.5, 0.5]
    assert progress[8] == [0.75, 0.75, 0.75]


def test_a_stream_of_one_shape_does_not_hold_up_another(engine: Engine) -> None:
    stream = [Arrival(Wish(steps=2, seed=i), at=i) for i in range(20)]
    outcome = develop_together(engine, [*stream, Arrival(Wish(steps=4, width=96), at=3)])
    assert outcome.finished[20].step < 12


def test_removing_a_running_picture_leaves_its_neighbours_unchanged(
    engine: Engine, references: References
) -> None:
    staying = [Wish("dpmpp_2m", 6), Wish("euler_a", 7, seed=1, guidance=1.0)]
    arrivals = [
        Arrival(staying[0]),
        Arrival(Wish(steps=20, seed=9), gone_at=3),
        Arrival(staying[1]),
    ]
    outcome = develop_together(engine, arrivals)
    assert set(outcome.finished) == {0, 2}
    assert outcome.rows == [5] * 3 + [3] * 3 + [1]
    assert_exact(outcome.finished[0], references(engine.model, staying[0]))
    assert_exact(outcome.finished[2], references(engine.model, staying[1]))


def test_any_number_of_pictures_is_removed_at_once_waiting_or_running(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=4, native_shape=tiny.native_shape))
    for key in range(5):
        engine.add(Wish(steps=3).picture(tiny, key))
    engine.step()
    engine.remove({0, 1, 3, "unknown"})
    assert engine.load == 4
    assert finish(engine) == [2, 4]


def test_removing_everything_leaves_an_idle_engine(engine: Engine) -> None:
    for key, width in enumerate((64, 96, 64)):
        engine.add(Wish(steps=3, width=width).picture(engine.model, key))
    engine.step()
    engine.remove(range(3))
    assert engine.is_idle
    assert engine.step().rows == 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("a kernel failed"), EngineFault),
        (torch.OutOfMemoryError("out of memory"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (IndexError("an index is out of range"), EngineFault),
    ],
    ids=["kernel", "device memory", "host memory", "anything else"],
)
def test_a_fault_of_one_picture_fails_that_one_alone(
    engine: Engine,
    fail_on_marked: Raise,
    references: References,
    error: Exception,
    expected: type[GenerationError],
) -> None:
    fail_on_marked(error)
    wishes = [Wish("lms", 4), Wish("euler", 4, prompt=MARKED), Wish("ddpm", 4, guidance=1.0)]
    outcome = develop_together(
        engine, [Arrival(wishes[0]), Arrival(wishes[1], at=2), Arrival(wishes[2], at=1)]
    )
    assert {key: type(lost) for key, lost in outcome.spoiled.items()} == {1: expected}
    assert set(outcome.finished) == {0, 2}
    for i in (0, 2):
        assert_exact(outcome.finished[i], references(engine.model, wishes[i]))


def test_a_picture_that_becomes_nan_fails_alone(engine: Engine, references: References) -> None:
    good = engine.prompts.encode("a red circle")
    poisoned = Conditioning(torch.full_like(good.embedding, float("nan")), "")
    engine.prompts._known[MARKED] = poisoned
    wishes = [Wish("euler_a", 5), Wish("euler", 5, prompt=MARKED), Wish("heun", 3, guidance=1.0)]
    outcome = develop_together(engine, [Arrival(wish) for wish in wishes])
    assert {key: type(lost) for key, lost in outcome.spoiled.items()} == {1: NotFinite}
    for i in (0, 2):
        assert_exact(outcome.finished[i], references(engine.model, wishes[i]))


def test_a_prompt_that_cannot_be_encoded_fails_alone(
    engine: Engine, references: References
) -> None:
    marked = engine.model.tokenizer(MARKED).input_ids

    def check(encoder: nn.Module, args: tuple[Tensor, ...]) -> None:
        if args[0][0, : len(marked)].tolist() == marked:
            raise torch.OutOfMemoryError("out of memory")

    handle = engine.model.text_encoder.register_forward_pre_hook(check)
    good = Wish("ddim", 3)
    outcome = develop_together(engine, [Arrival(Wish(prompt=MARKED)), Arrival(good)])
    handle.remove()
    assert {key: type(lost) for key, lost in outcome.spoiled.items()} == {0: OutOfMemory}
    assert_exact(outcome.finished[1], references(engine.model, good))


def test_a_fault_of_one_pictures_decoding_fails_that_one_alone(
    engine: Engine, references: References
) -> None:
    wishes = [Wish("euler", 3, seed=seed) for seed in range(3)]
    marked = references(engine.model, wishes[1]).latents[0]

    def check(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        latents = args[0] * engine.model.vae.config.scaling_factor
        if any(torch.allclose(found, marked, atol=1e-3) for found in latents):
            raise torch.OutOfMemoryError("out of memory")

    layer = engine.model.vae.post_quant_conv
    assert layer is not None
    handle = layer.register_forward_pre_hook(check)
    outcome = develop_together(engine, [Arrival(wish) for wish in wishes])
    handle.remove()
    assert {key: type(lost) for key, lost in outcome.spoiled.items()} == {1: OutOfMemory}
    for i in (0, 2):
        assert_exact(outcome.finished[i], references(engine.model, wishes[i]))


def test_when_only_a_whole_batch_is_too_large_every_picture_is_made(
    engine: Engine, references: References
) -> None:
    wishes = [Wish("euler", 3, seed=seed) for seed in range(4)]

    def check(unet: nn.Module, args: tuple[Tensor, ...]) -> None:
        if len(args[0]) > 4:
            raise torch.OutOfMemoryError("out of memory")

    handle = engine.model.unet.register_forward_pre_hook(check)
    outcome = develop_together(engine, [Arrival(wish) for wish in wishes])
    handle.remove()
    assert outcome.spoiled == {}
    for i, wish in enumerate(wishes):
        assert_exact(outcome.finished[i], references(engine.model, wish))


def test_pictures_that_retire_together_are_decoded_together_up_to_a_bound(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=32, native_shape=tiny.native_shape))
    decoded: list[int] = []
    layer = tiny.vae.post_quant_conv
    assert layer is not None
    handle = layer.register_forward_pre_hook(lambda _, args: decoded.append(len(args[0])))
    for key in range(MOST_DECODED + 2):
        engine.add(Wish(steps=1, guidance=1.0, seed=key).picture(tiny, key))
    assert finish(engine) == list(range(MOST_DECODED + 2))
    handle.remove()
    assert decoded == [MOST_DECODED, 2]


def test_a_prompt_is_encoded_once_for_all_its_pictures(engine: Engine) -> None:
    wishes = [Wish(steps=1, seed=seed, negative_prompt="grey") for seed in range(3)]
    develop_together(engine, [Arrival(wish) for wish in wishes])
    assert (engine.prompts.hits, engine.prompts.misses) == (4, 2)


def test_without_guidance_the_negative_prompt_is_not_even_encoded(engine: Engine) -> None:
    develop_together(engine, [Arrival(Wish(steps=1, guidance=1.0, negative_prompt="grey"))])
    assert engine.prompts.misses == 1


def test_what_is_cut_off_the_prompts_is_told_in_warnings(engine: Engine) -> None:
    fits = "x" * (engine.model.token_limit - 2)
    wish = Wish(steps=1, prompt=f"{fits} red", negative_prompt=f"{fits} blue")
    quiet = Wish(steps=1, guidance=1.0, prompt=fits, negative_prompt=f"{fits} blue")
    outcome = develop_together(engine, [Arrival(wish), Arrival(quiet)])
    assert outcome.finished[0].warnings == (
        "prompt is longer than the model reads; left out: red",
        "negative_prompt is longer than the model reads; left out: blue",
    )
    assert outcome.finished[1].warnings == ()


def test_a_picture_does_not_depend_on_what_the_engine_made_before(engine: Engine) -> None:
    wish = Arrival(Wish("dpmpp_2m_sde", 5, seed=3))
    first = develop_together(engine, [wish]).finished[0]
    develop_together(engine, [Arrival(Wish("lms", 4, seed=8)), Arrival(Wish(width=96, steps=2))])
    again = develop_together(engine, [wish]).finished[0]
    assert torch.equal(first.latents, again.latents)
    assert np.array_equal(first.pixels, again.pixels)


def test_equal_pictures_in_one_batch_come_out_equal(engine: Engine) -> None:
    twins = [Arrival(Wish("unipc", 4, seed=3)), Arrival(Wish("unipc", 4, seed=3), at=1)]
    finished = develop_together(engine, twins).finished
    assert pixel_error(finished[0].pixels, finished[1].pixels) <= PIXEL_LIMIT
