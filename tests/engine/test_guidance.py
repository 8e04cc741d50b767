import torch

from worker.engine.guidance import guide


def test_guided_pictures_come_first_and_the_others_stay_as_they_are() -> None:
    u, c, plain = (torch.full((1, 1, 1, 1), value) for value in (1.0, 3.0, 8.0))
    found = guide(torch.cat([u, c, plain]), torch.tensor([5.0]).reshape(1, 1, 1, 1))
    assert found.flatten().tolist() == [11.0, 8.0]


def test_each_picture_has_its_own_guidance() -> None:
    outputs = torch.tensor([1.0, 1.0, 2.0, 2.0]).reshape(4, 1, 1, 1)
    found = guide(outputs, torch.tensor([2.0, 10.0]).reshape(2, 1, 1, 1))
    assert found.flatten().tolist() == [3.0, 11.0]


def test_without_guidance_the_outputs_are_the_estimates() -> None:
    outputs = torch.arange(2.0).reshape(2, 1, 1, 1)
    assert torch.equal(guide(outputs, torch.zeros(0, 1, 1, 1)), outputs)
