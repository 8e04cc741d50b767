import time
from typing import Any

import pytest

from contract.ability import Ability
from contract.version import CONTRACT_VERSION


def job(side: int = 64, **arguments: Any) -> dict[str, Any]:
    return {"request": {"width": 32, "height": side}, "deadline": time.time() + 60} | arguments


def test_a_newer_job_is_for_others_whatever_its_deadline() -> None:
    newer = job(version=CONTRACT_VERSION + 1, deadline=1.0)
    assert Ability().leaves(newer)
    assert not Ability(known=CONTRACT_VERSION + 1).leaves(newer)
    assert not Ability().leaves(job())


def test_what_is_too_large_is_for_others_until_its_deadline() -> None:
    ability = Ability(max_side=64)
    assert [ability.leaves(job(side)) for side in (64, 72)] == [False, True]
    assert not ability.leaves(job(72, deadline=time.time() - 1))
    assert not Ability().leaves(job(72))


@pytest.mark.parametrize("deadline", [None, "soon"])
def test_a_job_without_a_deadline_is_left_to_nobody(deadline: object) -> None:
    assert not Ability(max_side=64).leaves(job(72, deadline=deadline))


@pytest.mark.parametrize("kwargs", [None, [], {}, {"request": 1}, {"request": {"width": "640"}}])
def test_arguments_that_say_no_size_are_for_anybody(kwargs: Any) -> None:
    assert not Ability(max_side=64).leaves(kwargs)
