"""Two real models on the CPU, loaded once: a tiny one of random weights, and the starter."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.checkpoints import build_checkpoint
from tests.reference import Reference, Wish, develop
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model

CPU = torch.device("cpu")
STARTER = Path(__file__).parents[2] / "models" / "starter"

References = Callable[..., Reference]
"""`references(model, wish, images=1)`: `develop`, each picture only once."""


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> Iterator[None]:
    """OpenMP threads of several processes that share two cores spin and starve each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny(checkpoint: Path) -> Model:
    return load_model(checkpoint, CPU, torch.float32)


@pytest.fixture(scope="session")
def starter() -> Model:
    return load_model(STARTER, CPU, torch.float32)


@pytest.fixture(params=["tiny", "starter"])
def model(request: pytest.FixtureRequest) -> Model:
    chosen: Model = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def engine(tiny: Model) -> Engine:
    """An idle engine on the tiny model, with room for eight rows of the native shape."""
    return Engine(tiny, RowBudget(native_rows=8, native_shape=tiny.native_shape))


@pytest.fixture(scope="session")
def references() -> References:
    known: dict[tuple[str, Wish, int], Reference] = {}

    def look_up(model: Model, wish: Wish, images: int = 1) -> Reference:
        key = (model.name, wish, images)
        if key not in known:
            known[key] = develop(model, wish, images)
        return known[key]

    return look_up
