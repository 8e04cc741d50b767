from typing import Any

import pytest

from contract.ability import Ability, longest_side
from contract.version import CONTRACT_VERSION


def job(side: int = 64, **arguments: Any) -> dict[str, Any]:
    return {"request": {"width": 32, "height": side}, **arguments}


@pytest.fixture(autouse=True)
def _asks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.ability.ASK_S", 0.0)


def test_a_newer_job_is_for_others() -> None:
    newer = job(version=CONTRACT_VERSION + 1)
    assert Ability().leaves(newer)
    assert not Ability(known=CONTRACT_VERSION + 1).leaves(newer)
    assert not Ability().leaves(job())


def test_what_is_too_large_is_for_others_only_where_one_of_them_draws_it() -> None:
    others = [128]
    ability = Ability(max_side=64, largest=lambda: others[0])
    sides = (64, 128, 136)
    assert [ability.leaves(job(side)) for side in sides] == [False, True, False]
    assert not ability.has_changed()
    others[0] = 64
    assert ability.has_changed()
    assert not ability.has_changed()
    assert not any(ability.leaves(job(side)) for side in sides)


def test_nobody_is_asked_what_others_draw_before_that_matters() -> None:
    def fail() -> int:
        raise AssertionError

    ability = Ability(max_side=64, largest=fail)
    assert not ability.leaves(job(64))
    assert not ability.has_changed()


def test_what_is_seldom_asked_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.ability.ASK_S", 3600.0)
    answers = iter([128])
    ability = Ability(max_side=64, largest=lambda: next(answers))
    assert ability.leaves(job(128))
    assert ability.leaves(job(128))
    assert not ability.has_changed()


@pytest.mark.parametrize("kwargs", [None, [], {}, {"request": 1}, {"request": {"width": "64"}}])
def test_arguments_that_say_no_size_have_none(kwargs: Any) -> None:
    assert longest_side(kwargs) == 0
