"""Fixed row counts on a GPU: a picture is the same to the last bit, whoever is beside it."""

import numpy as np
import pytest
import torch

from tests.engine.company import Arrival, develop_together
from tests.engine.conftest import STARTER
from tests.engine.test_fixed_rows import WISHES
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.engine import Engine
from worker.engine.model import load_model


@pytest.mark.parametrize("rows", [3, 8])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_pictures_of_mixed_company_are_those_made_alone(rows: int, dtype: torch.dtype) -> None:
    model = load_model(STARTER, torch.device("cuda"), dtype, CallOptions(fixed_rows=rows))

    def engine() -> Engine:
        return Engine(model, RowBudget(12, model.native_shape))

    together = develop_together(engine(), [Arrival(wish, at=i) for i, wish in enumerate(WISHES)])
    for i, wish in enumerate(WISHES):
        alone = develop_together(engine(), [Arrival(wish)]).finished[0]
        assert torch.equal(together.finished[i].latents, alone.latents)
        assert np.array_equal(together.finished[i].pixels, alone.pixels)
