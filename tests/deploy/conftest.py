"""The overlays, built once, and what a worker shows to Prometheus."""

import pytest

from tests.checkpoints import build_checkpoint
from tests.deploy.manifests import K8S, Manifest, built, overlay_in
from worker.metrics import WorkerMetrics
from worker.settings import WorkerSettings
from worker.start import start_engine
from worker.tables import TableCache

COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())


@pytest.fixture(scope="session")
def cpu() -> tuple[Manifest, ...]:
    return built(K8S / "overlays" / "cpu")


@pytest.fixture(scope="session")
def gpu() -> tuple[Manifest, ...]:
    return built(K8S / "overlays" / "gpu")


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, ...]:
    """The overlay cpu, which has a Redis, with all other components."""
    others = [name for name in COMPONENTS if name != "redis"]
    return built(overlay_in(tmp_path_factory.mktemp("overlay"), others))


@pytest.fixture
def worker_metrics(tmp_path_factory: pytest.TempPathFactory) -> WorkerMetrics:
    checkpoint = build_checkpoint(tmp_path_factory.mktemp("models") / "tiny")
    engine = start_engine(
        WorkerSettings(checkpoint=checkpoint, threads=1, max_rows=2, device="cpu")
    )
    return WorkerMetrics(engine, TableCache(engine.model.scheduler_config))
