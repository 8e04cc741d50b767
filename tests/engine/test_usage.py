"""What each picture had of the device."""

from dataclasses import replace

import pytest
import torch

from tests.reference import Wish
from worker.engine.conditioning import Conditioning
from worker.engine.engine import Engine
from worker.engine.usage import Usage


def total(engine: Engine) -> tuple[Usage, Usage]:
    """What all steps took, and what the pictures had of it that came out, well or not."""
    spent, had = Usage(), Usage()
    while not engine.is_idle:
        report = engine.step()
        spent.add(Usage(report.text_s, report.step_s, report.decode_s, report.rows))
        for picture in (*report.developed, *report.spoiled):
            had.add(picture.usage)
    return spent, had


def assert_same(had: Usage, spent: Usage) -> None:
    assert had.row_steps == spent.row_steps
    for work in ("text_s", "denoise_s", "decode_s", "device_s"):
        assert getattr(had, work) == pytest.approx(getattr(spent, work), rel=1e-9)
        assert getattr(had, work) > 0


def test_the_shares_of_a_step_are_the_step(engine: Engine) -> None:
    for key, guidance in enumerate((7.5, 1.0, 7.5)):
        engine.add(Wish(steps=1, guidance=guidance).picture(engine.model, key))
    report = engine.step()
    shares = {picture.key: picture.usage.denoise_s for picture in report.developed}
    assert sum(shares.values()) == pytest.approx(report.step_s, rel=1e-12)
    assert shares[0] == shares[2] == pytest.approx(2 * shares[1], rel=1e-12)


def test_the_shares_of_all_pictures_are_all_the_time_of_the_steps(engine: Engine) -> None:
    """Of several sizes and lengths, some of which came later."""
    for key, (steps, width) in enumerate(((5, 64), (2, 64), (3, 96), (4, 64))):
        engine.add(Wish(steps=steps, width=width, seed=key).picture(engine.model, key))
    spent, had = total(engine)
    assert_same(had, spent)


def test_a_step_without_guidance_is_half_a_share(engine: Engine) -> None:
    cut, whole = Wish(steps=5, guidance_stop=0.6), Wish(steps=5, seed=1)
    for key, wish in enumerate((cut, whole)):
        engine.add(wish.picture(engine.model, key))
    last = [engine.step() for _ in range(5)][-1]
    had = {picture.key: picture.usage for picture in last.developed}
    assert (had[0].row_steps, had[1].row_steps) == (3 + 5, 5 + 5)
    assert had[0].denoise_s < had[1].denoise_s


def test_a_picture_that_fails_had_its_share(engine: Engine) -> None:
    good = engine.prompts.encode("poison")
    poisoned = Conditioning(torch.full_like(good.embedding, float("nan")), "")
    engine.prompts._known["poison"] = poisoned
    for key, prompt in enumerate(("poison", "a red circle")):
        engine.add(Wish(steps=3, prompt=prompt).picture(engine.model, key))
    spent, had = total(engine)
    assert_same(had, spent)


def test_what_a_removed_picture_had_comes_back(engine: Engine) -> None:
    for key in range(3):
        engine.add(Wish(steps=9, seed=key).picture(engine.model, key))
    took = [engine.step() for _ in range(2)]
    had = engine.remove([0, 1])
    assert had.row_steps == 2 * 2 * 2
    assert had.denoise_s == pytest.approx(sum(report.step_s for report in took) * 2 / 3)
    assert engine.remove([0, "unknown"]) == Usage()


def test_a_checkpoint_brings_its_steps_along(engine: Engine) -> None:
    engine.add(Wish(steps=5).picture(engine.model, 0))
    for _ in range(3):
        engine.step()
    start = engine.checkpoints()[0]
    engine.remove([0])
    engine.add(replace(Wish(steps=5).picture(engine.model, 0), start=start))
    reports = [engine.step() for _ in range(2)]
    assert [report.resumed for report in reports] == [2 * 3, 0]
    [made] = reports[-1].developed
    assert made.usage.row_steps == 2 * 5
