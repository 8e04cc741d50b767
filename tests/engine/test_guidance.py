import torch

from worker.engine.guidance import guide, pairs_of


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(-1, 1, 1, 1)


def test_guided_pictures_come_first_and_the_others_stay_as_they_are() -> None:
    u, c, plain = 1.0, 3.0, 8.0
    found = guide(numbers(u, c, plain), pairs_of(1, 2), numbers(5.0, 0.5))
    assert found.flatten().tolist() == [11.0, 8.0]


def test_each_picture_has_its_own_guidance() -> None:
    outputs = numbers(1.0, 1.0, 2.0, 2.0)
    found = guide(outputs, pairs_of(2, 2), numbers(2.0, 10.0))
    assert found.flatten().tolist() == [3.0, 11.0]


def test_without_guidance_the_outputs_are_the_estimates() -> None:
    outputs = torch.arange(2.0).reshape(2, 1, 1, 1)
    assert torch.equal(guide(outputs, pairs_of(0, 2), numbers(0.0, 1.0)), outputs)
