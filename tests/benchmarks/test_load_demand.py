"""What the load test asks for, and when."""

import random
import statistics
from itertools import islice, pairwise
from pathlib import Path

import pytest
from load_test.choices import BadOption, Card, Size
from load_test.demand import Mix, poisson
from scipy import stats

from tests.benchmarks.played_service import MODEL

CARD = Card.of(MODEL)
MANY = 20_000


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    times = list(islice(poisson(5.0, seed=1), MANY))
    gaps = [late - early for early, late in pairwise([0.0, *times])]
    assert stats.kstest(gaps, "expon", args=(0, 1 / 5)).pvalue > 0.05
    counts = [0] * int(times[-1])
    for at in times:
        if at < len(counts):
            counts[int(at)] += 1
    assert statistics.mean(counts) == pytest.approx(5.0, rel=0.03)
    assert statistics.variance(counts) == pytest.approx(5.0, rel=0.06)  # of even ones it is 0
    assert abs(statistics.correlation(gaps[:-1], gaps[1:])) < 0.02  # none knows of the last


def test_a_seed_decides_the_arrivals_and_a_rate_only_stretches_them() -> None:
    slow, fast, other = (
        list(islice(poisson(rate, seed), 100)) for rate, seed in ((2.0, 7), (4.0, 7), (2.0, 8))
    )
    assert slow == list(islice(poisson(2.0, 7), 100)) != other
    assert fast == pytest.approx([at / 2 for at in slow])


def test_a_seed_decides_the_requests() -> None:
    mix = Mix.parse("mixed", {}).on(CARD)
    first, again, other = (list(islice(mix.asks(seed), 50)) for seed in (3, 3, 4))
    assert first == again != other
    assert len({ask.seed for ask in first}) == len({ask.prompt for ask in first}) == 50


def test_values_come_as_often_as_they_weigh() -> None:
    mix = Mix.parse("equal", {"steps": "4:3, 50", "sizes": "native, 64x32:3"}).on(CARD)
    asks = list(islice(mix.asks(0), 4000))
    assert sum(ask.steps == 4 for ask in asks) / 4000 == pytest.approx(0.75, abs=0.03)
    assert sum(ask.size == Size(64, 32) for ask in asks) / 4000 == pytest.approx(0.75, abs=0.03)
    assert {ask.size for ask in asks} == {Size(128, 128), Size(64, 32)}


def test_a_file_names_classes_and_options_hold_for_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(
        '[draft]\nweight = 3\nsteps = 4\nsamplers = "lcm"\nguidance = 1\n'
        '[final]\nsteps = [30, "50:2"]\nsizes = "native"\n'
    )
    mix = Mix.parse(str(file), {"images": "2"}).on(CARD)
    asks = list(islice(mix.asks(0), 400))
    draft = [ask for ask in asks if ask.kind == "draft"]
    assert len(draft) / 400 == pytest.approx(0.75, abs=0.06)
    assert {(ask.steps, ask.sampler, ask.guidance) for ask in draft} == {(4, "lcm", 1.0)}
    assert {ask.steps for ask in asks if ask.kind == "final"} == {30, 50}
    assert {ask.images for ask in asks} == {2}
    assert mix.name == "ours"


def test_a_half_is_within_what_the_model_can_draw() -> None:
    small = Card("small", 24, 40, min_side=16, max_side=48, side_multiple=8, most_steps={})
    assert small.half() == (16, 16)
    assert Size.parse("half").on(CARD) == Size(64, 64)


@pytest.mark.parametrize(
    ("told", "overrides", "option"),
    [
        ("nothing", {}, "--mix"),
        ("equal", {"steps": "0"}, "--steps"),
        ("equal", {"steps": "4:-1"}, "--steps"),
        ("equal", {"steps": "4:nan"}, "--steps"),
        ("equal", {"steps": "151"}, "--steps"),
        ("equal", {"samplers": "eulr"}, "--samplers"),
        ("equal", {"samplers": "lms"}, "--samplers"),
        ("equal", {"samplers": "lcm", "steps": "60"}, "--steps"),
        ("equal", {"sizes": "64"}, "--sizes"),
        ("equal", {"sizes": "1000x64"}, "--sizes"),
        ("equal", {"sizes": "60x64"}, "--sizes"),
        ("equal", {"images": "11"}, "--images"),
        ("equal", {"guidance": "much"}, "--guidance"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence_that_names_the_option(
    told: str, overrides: dict[str, str], option: str
) -> None:
    with pytest.raises(BadOption) as refusal:
        Mix.parse(told, overrides).on(CARD)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{option}: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("text", ["[short]\nstep = 4", "[short", "steps = 4", ""])
def test_a_file_that_is_no_mix_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mix.toml"
    file.write_text(text)
    with pytest.raises(BadOption, match="--mix: "):
        Mix.parse(str(file), {})


def test_a_class_draws_from_the_dice_alone() -> None:
    kind = Mix.parse("mixed", {}).on(CARD).kinds[0]
    assert kind.draw(random.Random(1)) == kind.draw(random.Random(1))
