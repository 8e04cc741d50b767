"""What is compiled is recorded as well, and makes the same pictures as what is neither."""

import pytest
import torch

from benchmarks.likeness import psnr
from tests.engine.company import Arrival, develop_together
from tests.gpu.conftest import STARTER
from tests.reference import Wish
from worker.compilation import compile_model
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model

ROWS = 4
COMPILED_DB = 40.0  # in float16
WISHES = (
    Wish("dpmpp_2m_karras", 8, prompt="red apple", width=128, height=128),
    Wish("euler_a", 6, prompt="rocket", guidance=1.0, width=128, height=128),
    Wish("heun", 4, prompt="castle", guidance_stop=0.6, width=128, height=96),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, as it loads inductor
@pytest.mark.parametrize("in_buckets", [False, True])
def test_compiled_and_recorded_pictures_are_those_of_the_plain_model(
    plain: Model, in_buckets: bool
) -> None:
    torch._dynamo.reset()
    model = load_model(STARTER, torch.device("cuda"), torch.float16)
    model = compile_model(model, CallOptions(), ROWS, in_buckets=in_buckets)
    expected, found = (
        develop_together(
            Engine(each, RowBudget(ROWS, each.native_shape)),
            [Arrival(wish, at=n) for n, wish in enumerate(WISHES)],
        )
        for each in (plain, model)
    )
    assert found.spoiled == {}
    for n in range(len(WISHES)):
        assert psnr(found.finished[n].pixels, expected.finished[n].pixels) >= COMPILED_DB
