"""The engine on a device that is late: the same pictures and accounts, told when they are known."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contract.errors import NotFinite, OutOfMemory
from tests.engine.late_stream import LateStream
from tests.engine.test_usage import assert_same, total
from tests.reference import Wish
from worker.engine.blame import DeviceFailed
from worker.engine.budget import RowBudget
from worker.engine.conditioning import Conditioning
from worker.engine.engine import Engine
from worker.engine.model import Model
from worker.engine.picture import Developed, Picture, StepReport

NEVER = 10**6
"""Marks after which a moment is past that nobody waits for."""

DELAYS = (1, 5, NEVER)
MIXED = (
    Wish("dpmpp_2m_karras", 4, seed=1),
    Wish("euler_a", 2, seed=2),
    Wish("lms", 3, guidance=1.0, seed=3),
    Wish("ddim", 5, seed=4, width=96),
    Wish("heun", 2, seed=5, prompt="another"),
)


@dataclass(slots=True)
class Told:
    developed: dict[Hashable, Developed] = field(default_factory=dict)
    reports: list[StepReport] = field(default_factory=list)


def engine_on(model: Model, stream: LateStream | None = None, rows: int = 6) -> Engine:
    return Engine(model, RowBudget(rows, model.native_shape), stream=stream)


def pictures(model: Model) -> list[Picture]:
    return [wish.picture(model, key) for key, wish in enumerate(MIXED)]


def run(engine: Engine) -> Told:
    told = Told()
    while not engine.is_idle:
        report = engine.step()
        told.reports.append(report)
        told.developed |= {made.key: made for made in report.developed}
    return told


@pytest.mark.parametrize("delay", DELAYS)
def test_a_late_device_makes_the_very_same_pictures(tiny: Model, delay: int) -> None:
    engines = engine_on(tiny), engine_on(tiny, LateStream(delay))
    for engine in engines:
        for picture in pictures(tiny):
            engine.add(picture)
    prompt, late = map(run, engines)
    assert prompt.developed.keys() == late.developed.keys()
    for key, made in prompt.developed.items():
        assert np.array_equal(made.pixels, late.developed[key].pixels)
        assert torch.equal(made.end.latents, late.developed[key].end.latents)


@pytest.mark.parametrize("delay", DELAYS)
def test_the_same_steps_are_told_of_one_turn_later(tiny: Model, delay: int) -> None:
    engines = engine_on(tiny), engine_on(tiny, LateStream(delay))
    for engine in engines:
        for picture in pictures(tiny):
            engine.add(picture)
    prompt, late = ([report.rows for report in run(engine).reports] for engine in engines)
    assert late[0] == 0
    assert [rows for rows in late if rows] == [rows for rows in prompt if rows]


def test_the_host_is_never_more_than_one_step_ahead(tiny: Model) -> None:
    stream = LateStream(NEVER)
    engine = engine_on(tiny, stream)
    engine.add(Wish(steps=5).picture(tiny, 0))
    waits = []
    for _ in range(4):
        engine.step()
        waits.append(stream.waits)
    assert waits == [0, 1, 2, 3]


def test_a_picture_is_decoded_beside_the_steps_of_the_others(tiny: Model) -> None:
    engine = engine_on(tiny, LateStream(12))
    engine.add(Wish(steps=2).picture(tiny, "short"))
    engine.add(Wish(steps=12).picture(tiny, "long"))
    reports = run(engine).reports
    asked = next(n for n, report in enumerate(reports) if "short" in report.denoised)
    told = next(n for n, report in enumerate(reports) if report.developed)
    assert asked == 1
    assert told > asked + 1
    assert all(report.rows == 2 for report in reports[asked + 2 : told + 1])


def test_times_are_in_order(tiny: Model) -> None:
    engine = engine_on(tiny, LateStream(5))
    for picture in pictures(tiny):
        engine.add(picture)
    for made in run(engine).developed.values():
        assert made.admitted_at < made.joined_at < made.denoised_at < made.decoded_at


@pytest.mark.parametrize("delay", DELAYS)
def test_the_shares_of_all_pictures_are_all_the_time_of_a_late_device(
    tiny: Model, delay: int
) -> None:
    engine = engine_on(tiny, LateStream(delay))
    for picture in pictures(tiny):
        engine.add(picture)
    spent, had = total(engine)
    assert_same(had, spent)


def test_who_is_removed_under_way_brings_what_it_had(tiny: Model) -> None:
    engine = engine_on(tiny, LateStream(NEVER))
    for key in range(2):
        engine.add(Wish(steps=9, seed=key).picture(tiny, key))
    took = [engine.step() for _ in range(3)]
    had = engine.remove([0])
    assert had.row_steps == 2 * 3
    took.append(engine.step())
    assert had.denoise_s == pytest.approx(sum(report.step_s for report in took) / 2)


def test_who_is_removed_while_it_is_decoded_is_not_told_of(tiny: Model) -> None:
    engine = engine_on(tiny, LateStream(NEVER))
    for key in range(2):
        engine.add(Wish(steps=2, seed=key).picture(tiny, key))
    assert [engine.step().denoised for _ in range(2)] == [(), (0, 1)]
    had = engine.remove([0, "unknown"])
    assert had.row_steps == 2 * 2
    assert had.decode_s > 0
    told = run(engine)
    assert list(told.developed) == [1]
    assert sum(report.decode_s for report in told.reports) == pytest.approx(2 * had.decode_s)


def test_a_picture_that_is_decoded_is_here_and_wholly_denoised(tiny: Model) -> None:
    engine = engine_on(tiny, LateStream(NEVER))
    picture = Wish(steps=1).picture(tiny, "only")
    engine.add(picture)
    assert engine.step().denoised == ("only",)
    assert not engine.is_idle
    assert engine.progress() == {"only": 1.0}
    assert engine.load == 0
    assert engine.checkpoints()["only"].step == 1
    with pytest.raises(ValueError, match="developed already"):
        engine.add(picture)


@pytest.mark.parametrize("after", [2, 6])
def test_a_checkpoint_waits_until_it_is_whole(tiny: Model, after: int) -> None:
    """Of a picture in a batch, and of one that is decoded."""
    found = []
    for stream in (None, LateStream(NEVER)):
        engine = engine_on(tiny, stream)
        engine.add(Wish("dpmpp_2m", 6, seed=3).picture(tiny, 0))
        ends = [made.end for _ in range(after) for made in engine.step().developed]
        checkpoint = ends[0] if ends else engine.checkpoints()[0]
        found.append(checkpoint.to_bytes(b"a fingerprint"))
    assert found[0] == found[1]


def test_previews_wait_until_they_are_whole(tiny: Model) -> None:
    shown = []
    for stream in (None, LateStream(NEVER)):
        engine = engine_on(tiny, stream)
        engine.add(replace(Wish(steps=3).picture(tiny, 0), previews=1))
        [preview] = [each for report in run(engine).reports for each in report.previews]
        preview.copied.wait()
        shown.append(preview.pixels)
    assert torch.equal(*shown)


def test_a_picture_that_becomes_nan_is_told_of_with_all_that_it_had(tiny: Model) -> None:
    engine = engine_on(tiny, LateStream(5))
    good = engine.prompts.encode("poison")
    poisoned = Conditioning(torch.full_like(good.embedding, float("nan")), "")
    engine.prompts._known["poison"] = poisoned
    for key, prompt in enumerate(("poison", "a red circle")):
        engine.add(Wish(steps=3, prompt=prompt).picture(tiny, key))
    told = run(engine)
    [lost] = [lost for report in told.reports for lost in report.spoiled]
    assert (lost.key, type(lost.error)) == (0, NotFinite)
    assert lost.usage.row_steps == told.developed[1].usage.row_steps == 2 * 3


def test_a_fault_is_told_of_with_all_that_the_picture_had(tiny: Model) -> None:
    engine = engine_on(tiny, LateStream(NEVER))
    for key, prompt in enumerate(("marked", "a red circle")):
        engine.add(Wish("euler", 4, prompt=prompt).picture(tiny, key))
    engine.step()
    marked = engine.prompts.encode("marked").embedding

    def refuse(unet: nn.Module, args: tuple[Tensor, ...], given: dict[str, Tensor]) -> None:
        if any(torch.equal(row, marked) for row in given["encoder_hidden_states"]):
            raise torch.OutOfMemoryError("out of memory")

    handle = tiny.unet.register_forward_pre_hook(refuse, with_kwargs=True)
    told = run(engine)
    handle.remove()
    [lost] = [lost for report in told.reports for lost in report.spoiled]
    assert (lost.key, type(lost.error)) == (0, OutOfMemory)
    assert lost.usage.row_steps == 2 * 2
    assert list(told.developed) == [1]


@pytest.mark.parametrize("steps", [1, 5])
def test_a_device_that_dies_is_noticed_at_the_next_turn(tiny: Model, steps: int) -> None:
    """Whether there is a step to ask for or only a picture to wait for."""
    stream = LateStream(NEVER)
    engine = engine_on(tiny, stream)
    engine.add(Wish(steps=steps).picture(tiny, 0))
    engine.step()
    stream.fails = "an illegal memory access"
    with pytest.raises(DeviceFailed, match="illegal memory access"):
        engine.step()


def test_steps_wait_for_a_decoder_that_is_far_behind(tiny: Model) -> None:
    stream = LateStream(NEVER)
    engine = engine_on(tiny, stream, rows=2)
    for key in range(8):
        engine.add(Wish(steps=1, seed=key).picture(tiny, key))
    behind = []
    while not engine.is_idle:
        engine.step()
        behind.append(sum(share == 1.0 for share in engine.progress().values()))
    assert max(behind) == 4
