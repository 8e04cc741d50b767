import torch
from diffusers.utils.torch_utils import randn_tensor

from worker.engine import noise


def test_noise_is_drawn_as_diffusers_draws_it_call_after_call() -> None:
    ours, theirs = noise.generator(7), torch.Generator().manual_seed(7)
    for _ in range(3):
        expected = randn_tensor((1, 4, 8, 6), generator=theirs, dtype=torch.float32)
        assert torch.equal(noise.draw(ours, 4, 8, 6), expected[0])


def test_the_largest_seed_has_noise_of_its_own() -> None:
    last, first = noise.generator(2**32 - 1), noise.generator(0)
    assert not torch.equal(noise.draw(last, 4, 8, 8), noise.draw(first, 4, 8, 8))
