"""What only a CUDA device can show; `pytest -m gpu` runs it."""

from pathlib import Path

import pytest
import torch

from worker.engine.call_options import CallOptions
from worker.engine.model import Model, load_model

STARTER = Path(__file__).parents[2] / "models" / "starter"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.gpu)
            item.add_marker(
                pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
            )


@pytest.fixture(scope="session")
def half() -> Model:
    """The starter in float16, as a GPU has it by default."""
    return load_model(STARTER, torch.device("cuda"), torch.float16)


@pytest.fixture(scope="session")
def plain() -> Model:
    """The same, but every kernel is launched by itself."""
    return load_model(STARTER, torch.device("cuda"), torch.float16, CallOptions(records=False))
