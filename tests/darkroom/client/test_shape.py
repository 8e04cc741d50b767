"""What the client says of the service is what the service says of itself, and is said once."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

import darkroom
from app import event_views, views
from app.routes import events as event_routes
from contract import workers
from contract.job import JobState
from contract.request import GenerateRequest
from darkroom import AsyncClient, Client
from darkroom.client import asking, events, fleet, following, jobs

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (jobs.Job, views.JobView),
        (jobs.JobRequest, views.JobRequest),
        (jobs.Image, views.Image),
        (jobs.Timings, views.PhaseTimings),
        (jobs.Fault, views.JobFault),
        (jobs.Progress, views.Progress),
        (jobs.JobPage, views.JobsView),
        (fleet.Model, views.ModelView),
        (fleet.Worker, views.WorkerCard),
        (fleet.Pace, workers.Pace),
        (events.Queued, event_views.QueuedView),
        (events.Started, event_views.StartedView),
        (events.Requeued, event_views.RequeuedView),
        (events.Progressed, event_views.ProgressView),
        (events.Preview, event_views.PreviewView),
    ],
)
def test_answers_have_the_fields_of_the_service(
    ours: type[BaseModel], theirs: type[BaseModel]
) -> None:
    named = {str(each.validation_alias or name) for name, each in ours.model_fields.items()}
    aside = {"id"} if issubclass(ours, events.JobEvent) else set()
    assert named - aside == set(theirs.model_fields)


def test_states_and_fields_are_those_of_the_contract() -> None:
    assert get_args(jobs.JobState) == tuple(JobState)
    assert following.HEARTBEAT_S == event_routes.HEARTBEAT_S
    assert set(asking.Wishes.__annotations__) == set(GenerateRequest.model_fields) - {"prompt"}


def shape(kind: type) -> dict[str, Any]:
    """The public methods with their parameters."""
    found = {name: each for name, each in vars(kind).items() if not name.startswith("_")}
    return {name: list(inspect.signature(each).parameters.values()) for name, each in found.items()}


def test_both_clients_offer_the_same() -> None:
    threads, coroutines = shape(Client), shape(AsyncClient)
    coroutines["close"] = coroutines.pop("aclose")
    assert threads == coroutines


def test_every_exported_name_is_there() -> None:
    source = Path(darkroom.__file__).read_text(encoding="utf-8")
    for name in darkroom.__all__:
        assert getattr(darkroom, name).__name__ == name
        assert f" {name} as {name}\n" in source
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        darkroom.Klient  # noqa: B018


def test_it_loads_nothing_of_the_service() -> None:
    heavy = "{'torch', 'fastapi', 'redis', 'rq', 'app', 'contract', 'worker'}"
    code = (
        "import sys, darkroom; assert 'httpx' not in sys.modules; darkroom.Client; "
        f"sys.exit(str({heavy} & sys.modules.keys()) if {heavy} & sys.modules.keys() else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_without_httpx_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['httpx'] = None; import darkroom, darkroom.cli; darkroom.Client"
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr
    assert "darkroom.Client needs httpx: install darkroom with the extra `client`." in said
