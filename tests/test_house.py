"""The rules of the house: what imports what, and that the documents are true."""

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.scheduler import RQScheduler
from rq.worker import BaseWorker

from app.settings import AppSettings
from contract.logs import LogSettings
from contract.samplers import SAMPLERS
from contract.settings import CommonSettings, environment_name
from courier.settings import CourierSettings
from darkroom.settings import ClientSettings
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("app", "contract", "courier", "darkroom", "worker")


def test_imports_run_only_downwards() -> None:
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert linter is not None, "import-linter is not installed"
    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def settings() -> list[tuple[str, FieldInfo]]:
    found: dict[str, FieldInfo] = {}
    classes = (
        CommonSettings,
        LogSettings,
        AppSettings,
        WorkerSettings,
        CourierSettings,
        ClientSettings,
    )
    for settings_class in classes:
        for name, info in settings_class.model_fields.items():
            found.setdefault(environment_name(settings_class, name), info)
    return list(found.items())


@pytest.mark.parametrize(("name", "info"), settings(), ids=lambda value: str(value)[:30])
def test_every_setting_stands_in_the_readme(name: str, info: FieldInfo) -> None:
    assert info.description, f"{name} has no description"
    row = re.search(rf"^\| `{name}` \| (.*) \| (.*) \|$", README, re.MULTILINE)
    assert row is not None, f"{name} is missing in the README's table"
    assert row[2] == info.description


def test_every_module_stands_in_the_readme() -> None:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name not in ("__init__.py", "__main__.py"):
                assert f"`{path.name}`" in README or f"{path.relative_to(ROOT)}`" in README, path


def test_the_samplers_page_is_what_the_code_does() -> None:
    page = (ROOT / "docs" / "samplers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", page, re.MULTILINE)
    written = {
        sampler.name: (
            sampler.scheduler,
            ", ".join(f"{key}={value!r}" for key, value in sampler.overrides.items()) or "none",
        )
        for sampler in SAMPLERS.values()
    }
    assert {name: (scheduler, overrides) for name, scheduler, overrides in rows} == written


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (Job._handle_success, "result_ttl pipeline worker_name execution_id"),
        (Job._handle_failure, "exc_string pipeline worker_name execution_id"),
        (Job.prepare_for_execution, "worker_name pipeline"),
        (Job.restore, "raw_data"),
        (Queue._enqueue_job, "job pipeline at_front"),
        (Execution.create, "job ttl pipeline worker_name"),
        (Execution.delete, "job pipeline"),
        (BaseWorker._pubsub_exception_handler, "exc pubsub pubsub_thread"),
        (BaseWorker._install_signal_handlers, ""),
        (BaseWorker.clean_registries, ""),
        (BaseWorker.handle_payload, "message"),
        (BaseWorker.request_stop, "signum frame"),
        (BaseWorker.perform_job, "job queue execution"),
        (BaseWorker.prepare_execution, "job"),
        (RQScheduler.acquire_locks, ""),
        (RQScheduler.enqueue_scheduled_jobs, ""),
        (RQScheduler.release_locks, ""),
    ],
)
def test_rq_still_has_the_seams_that_the_worker_sits_on(function: object, parameters: str) -> None:
    known = inspect.signature(function).parameters  # type: ignore[arg-type]
    assert set(parameters.split()) <= set(known)


PAGES = (
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("models/*/*.md")),
)


def chapters(page: str) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, chapter = target.partition("#")
        if not re.match(r"\w+:", target):
            file = page.parent / path if path else page
            assert file.exists(), target
            assert not chapter or chapter in chapters(file.read_text(encoding="utf-8")), target
