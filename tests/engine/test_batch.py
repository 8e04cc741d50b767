import pytest
import torch
from torch import nn

from contract.errors import EngineFault
from tests.engine.company import LATENT_LIMIT, latent_error
from tests.engine.conftest import References
from tests.reference import Wish
from worker.engine import noise
from worker.engine.batch import Batch, Row, make_row
from worker.engine.conditioning import PromptEncoder
from worker.engine.model import Model


def row_of(model: Model, key: str, wish: Wish) -> Row:
    picture = wish.picture(model, key)
    prompts = PromptEncoder(model)
    unconditional = prompts.encode(picture.negative_prompt) if picture.is_guided else None
    return make_row(model, picture, prompts.encode(picture.prompt), unconditional, 0.0)


def batch_of(model: Model, **wishes: Wish) -> Batch:
    batch = Batch(model, model.native_shape)
    batch.join([row_of(model, key, wish) for key, wish in wishes.items()])
    return batch


def keys(batch: Batch) -> list[object]:
    return [row.picture.key for row in batch.rows]


def test_a_picture_starts_as_the_noise_of_its_seed(tiny: Model) -> None:
    row = row_of(tiny, "a", Wish("euler", steps=4, seed=9))
    first = noise.draw(noise.generator(9), 4, *tiny.native_shape)
    assert torch.equal(row.latents[0], first * row.picture.table.init_noise_sigma)
    assert row.step == 0
    assert not row.is_done


def test_guidance_costs_a_second_row_only_above_one(tiny: Model) -> None:
    batch = batch_of(
        tiny,
        off=Wish(guidance=0.0),
        neutral=Wish(guidance=1.0),
        slight=Wish(guidance=1.001),
        strong=Wish(guidance=7.5),
    )
    assert batch.width == 6


def test_the_unet_sees_no_more_rows_than_the_batch_is_wide(tiny: Model) -> None:
    called: list[int] = []
    batch = batch_of(tiny, a=Wish(guidance=1.0), b=Wish(guidance=7.5))
    handle = tiny.unet.register_forward_pre_hook(lambda _, args: called.append(len(args[0])))
    batch.step()
    handle.remove()
    assert called == [3]


def test_guided_pictures_come_first_whenever_they_join(tiny: Model) -> None:
    batch = batch_of(tiny, plain=Wish(guidance=1.0), guided=Wish())
    assert keys(batch) == ["guided", "plain"]
    batch.step()
    batch.join([row_of(tiny, "late", Wish())])
    assert keys(batch) == ["guided", "late", "plain"]


def test_a_picture_is_done_after_its_last_model_evaluation(tiny: Model) -> None:
    batch = batch_of(tiny, short=Wish("euler", steps=2), twice=Wish("heun", steps=2))
    for _ in range(2):
        assert batch.step() == {}
    assert {row.picture.key: row.is_done for row in batch.rows} == {"short": True, "twice": False}
    assert [row.picture.key for row in batch.leave({"short"})] == ["short"]
    batch.step()
    assert all(row.is_done for row in batch.rows)


def test_who_leaves_takes_its_latents_along(tiny: Model, references: References) -> None:
    wishes = {"a": Wish("lms", 4, seed=1), "b": Wish("ddim", 4, guidance=1.0, seed=2)}
    batch = batch_of(tiny, **wishes)
    for _ in range(4):
        batch.step()
    left = {str(row.picture.key): row for row in batch.leave({"a", "b", "stranger"})}
    assert batch.rows == []
    assert batch.width == 0
    for key, wish in wishes.items():
        expected = references(tiny, wish).latents[0]
        assert latent_error(left[key].latents[0], expected) <= LATENT_LIMIT


def test_a_batch_that_was_empty_can_be_joined_again(tiny: Model) -> None:
    batch = batch_of(tiny, a=Wish(steps=1))
    batch.step()
    batch.leave({"a"})
    batch.join([row_of(tiny, "b", Wish(steps=1, guidance=1.0))])
    assert batch.step() == {}
    assert keys(batch) == ["b"]


def test_every_stochastic_picture_draws_from_its_own_generator(tiny: Model) -> None:
    a, b = Wish("euler_a", 3, seed=1), Wish("euler", 3, seed=2)
    batch = batch_of(tiny, a=a, b=b)
    batch.step()
    states = {row.picture.key: row.generator.get_state() for row in batch.rows}
    for key, wish, draws in (("a", a, 2), ("b", b, 1)):
        expected = noise.generator(wish.seed)
        for _ in range(draws):
            noise.draw(expected, 4, *tiny.native_shape)
        assert torch.equal(states[key], expected.get_state())


def test_a_fault_is_narrowed_down_to_the_picture_that_it_belongs_to(
    tiny: Model, references: References
) -> None:
    guidances = (1.0, 3.0, 9.0, 7.5, 5.0)
    wishes = {
        str(i): Wish(
            "euler", 2, guidance, seed=i, prompt=f"picture {i}", negative_prompt=f"not {i}"
        )
        for i, guidance in enumerate(guidances)
    }
    batch = batch_of(tiny, **wishes)
    poison = next(row for row in batch.rows if row.picture.key == "3").latents[0]
    calls: list[int] = []

    def refuse(unet: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        calls.append(len(args[0]))
        scaled = poison * scale
        if any(torch.allclose(latents, scaled) for latents in args[0]):
            raise RuntimeError("a kernel failed\nwith a long trace")

    scale = float(batch.rows[0].picture.table.input_scale[0])
    handle = tiny.unet.register_forward_pre_hook(refuse)
    failures = batch.step()
    handle.remove()
    assert list(failures) == ["3"]
    assert isinstance(failures["3"], EngineFault)
    assert str(failures["3"]) == "The engine failed on this picture: a kernel failed"
    assert max(calls) == 9
    batch.leave({"3"})
    assert batch.step() == {}
    for row in batch.leave(set(wishes)):
        expected = references(tiny, wishes[str(row.picture.key)]).latents[0]
        assert latent_error(row.latents[0], expected) <= LATENT_LIMIT


def test_rows_that_cannot_join_leave_the_batch_as_it_was(tiny: Model) -> None:
    batch = Batch(tiny, tiny.native_shape)
    first, second, third = (row_of(tiny, key, Wish()) for key in "abc")
    batch.join([first])
    third.latents = third.latents[:, :1]
    with pytest.raises(RuntimeError):
        batch.join([second, third])
    assert batch.rows == [first]
    assert batch.step() == {}
