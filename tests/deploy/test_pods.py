"""What runs in a pod: its rights, its settings, its signs of life and its end."""

import re
from typing import Any

import pytest

from app.settings import AppSettings
from contract.settings import CommonSettings, environment_name
from courier import courier_worker
from courier.settings import CourierSettings
from tests.deploy.manifests import (
    WORKLOADS,
    Manifest,
    container_of,
    named,
    of_kind,
    pod_of,
)
from tests.service import ROOT
from worker.batch_worker import DRAIN_LIMIT_S
from worker.settings import WorkerSettings

Everything = tuple[Manifest, ...]

OURS: dict[str, type[CommonSettings]] = {
    "api": AppSettings,
    "worker": WorkerSettings,
    "webhooks": CourierSettings,
}
PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
SECRET = {
    "REDIS_URL": "redis://:secret@redis:6379/0",
    "REDIS_PASSWORD": "secret",
    "DARKROOM_WEBHOOK_SECRET": "whsec_" + 8 * "abcd",
}


def test_the_namespace_takes_restricted_pods_only_and_each_is_one(everything: Everything) -> None:
    labels = named(everything, "Namespace", "darkroom")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in of_kind(everything, *WORKLOADS):
        pod, container = pod_of(workload), container_of(workload)
        rights = pod["securityContext"]
        assert rights["runAsNonRoot"]
        assert rights["runAsUser"] > 0
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert all({"emptyDir", "configMap"} & set(volume) for volume in pod["volumes"])


def test_no_pod_has_a_token_or_the_addresses_of_services_in_its_environment(
    everything: Everything,
) -> None:
    for workload in of_kind(everything, *WORKLOADS):
        pod = pod_of(workload)
        account = named(everything, "ServiceAccount", pod["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


def test_each_is_who_its_image_says(everything: Everything) -> None:
    for workload in of_kind(everything, "Deployment"):
        image = container_of(workload)["image"].partition(":")[0].removeprefix("darkroom-")
        dockerfile = (ROOT / "docker" / f"{image}.Dockerfile").read_text(encoding="utf-8")
        (user,) = re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE)
        rights = pod_of(workload)["securityContext"]
        assert user == f"{rights['runAsUser']}:{rights['runAsGroup']}"


def test_each_has_a_bound_of_memory_and_asks_for_what_it_needs(everything: Everything) -> None:
    for workload in of_kind(everything, *WORKLOADS):
        resources = container_of(workload)["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"])
        assert "memory" in resources["limits"]
        asked = [item for kind in ("requests", "limits") for item in resources[kind].items()]
        asked += [
            ("sizeLimit", volume["emptyDir"]["sizeLimit"])
            for volume in pod_of(workload)["volumes"]
            if "emptyDir" in volume
        ]
        for name, size in asked:  # which Kubernetes' schemas take for any text
            assert re.fullmatch(r"\d+m?" if name == "cpu" else r"\d+([KMG]i)?", str(size))


def _value(entry: Manifest, container: Manifest) -> str:
    """What a variable is once the pod runs."""
    if "value" in entry:
        return str(entry["value"])
    source = entry["valueFrom"]
    if "secretKeyRef" in source:
        assert source["secretKeyRef"]["name"] == "darkroom"
        return SECRET[source["secretKeyRef"]["key"]]
    if "resourceFieldRef" in source:
        resource = source["resourceFieldRef"]["resource"].removeprefix("limits.")
        return str(container["resources"]["limits"][resource])
    assert source == {"fieldRef": {"fieldPath": "metadata.name"}}
    return "worker-5d4c6b8f9-x7k2p"


def environment_of(everything: Everything, workload: Manifest) -> dict[str, str]:
    container = container_of(workload)
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= named(everything, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {entry["name"]: _value(entry, container) for entry in container["env"]}


def loaded(everything: Everything, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings that a process of the workload would read."""
    for key, value in environment_of(everything, named(everything, "Deployment", name)).items():
        monkeypatch.setenv(key, value)
    return OURS[name]()


def _known_to(settings_class: type[CommonSettings]) -> set[str]:
    return {environment_name(settings_class, field) for field in settings_class.model_fields}


def test_every_setting_is_one_that_its_reader_knows(everything: Everything) -> None:
    for name, settings_class in OURS.items():
        environment = environment_of(everything, named(everything, "Deployment", name))
        assert set(environment) <= _known_to(settings_class)


def test_the_settings_are_taken(
    everything: Everything, gpu: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = loaded(everything, "api", monkeypatch)
    api.require_keys_or_loopback()
    assert api.needs_keys
    worker = loaded(everything, "worker", monkeypatch)
    assert (worker.device, worker.threads, worker.metrics_host) == ("cpu", 2, "0.0.0.0")
    assert loaded(gpu, "worker", monkeypatch).device == "cuda"
    assert loaded(everything, "webhooks", monkeypatch).signing_keys
    assert api.default_model == worker.checkpoint.name


def test_ports_are_those_that_the_settings_name(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    (http,) = container_of(named(everything, "Deployment", "api"))["ports"]
    assert http["containerPort"] == loaded(everything, "api", monkeypatch).port
    (metrics,) = container_of(named(everything, "Deployment", "worker"))["ports"]
    assert metrics["containerPort"] == loaded(everything, "worker", monkeypatch).metrics_port


def test_every_key_of_the_secret_is_in_the_page(everything: Everything) -> None:
    named_keys = {
        entry["valueFrom"]["secretKeyRef"]["key"]
        for workload in of_kind(everything, *WORKLOADS)
        for entry in container_of(workload).get("env", ())
        if "secretKeyRef" in entry.get("valueFrom", {})
    }
    assert named_keys == set(SECRET)
    assert all(f"`{key}`" in PAGE for key in named_keys)


def test_an_end_has_the_time_that_it_takes(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = named(everything, "Deployment", "api")
    pause_s = container_of(api)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace_s = loaded(everything, "api", monkeypatch).grace_s
    assert pod_of(api)["terminationGracePeriodSeconds"] >= pause_s + grace_s + 5
    worker = pod_of(named(everything, "Deployment", "worker"))
    assert worker["terminationGracePeriodSeconds"] >= DRAIN_LIMIT_S + 5
    webhooks = pod_of(named(everything, "Deployment", "webhooks"))
    least = courier_worker.GRACE_S + courier_worker.TICK_S
    assert webhooks["terminationGracePeriodSeconds"] >= least + 5


def test_a_worker_that_loads_its_model_hears_the_signal_to_end(everything: Everything) -> None:
    """Process 1 of a container ignores what it has no handler for."""
    assert pod_of(named(everything, "Deployment", "worker"))["shareProcessNamespace"]


def test_what_restarts_a_container_does_not_ask_redis(everything: Everything) -> None:
    for name, path in (("api", "/healthz"), ("worker", "/metrics")):
        container = container_of(named(everything, "Deployment", name))
        for kind in ("startupProbe", "livenessProbe"):
            assert container[kind]["httpGet"]["path"] == path
    api = container_of(named(everything, "Deployment", "api"))
    assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_a_model_may_take_minutes_to_load(everything: Everything) -> None:
    probe = container_of(named(everything, "Deployment", "worker"))["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 600


def test_a_drain_of_a_node_leaves_one_and_is_never_held_up(everything: Everything) -> None:
    least = named(everything, "HorizontalPodAutoscaler", "api")["spec"]["minReplicas"]
    kept = named(everything, "PodDisruptionBudget", "api")["spec"]["minAvailable"]
    assert 1 <= kept < least
    for name in ("worker", "webhooks"):
        assert named(everything, "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1


def test_redis_keeps_what_was_accepted(everything: Everything) -> None:
    (settings,) = (
        each["data"]["redis.conf"]
        for each in of_kind(everything, "ConfigMap")
        if each["metadata"]["name"].startswith("redis-settings")
    )
    redis = named(everything, "StatefulSet", "redis")
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(settings.splitlines())
    arguments = container_of(redis)["args"]
    assert arguments[-2:] == ["--requirepass", "$(REDIS_PASSWORD)"]
    assert arguments[1].removesuffix("/redis.conf") in {
        mount["mountPath"] for mount in container_of(redis)["volumeMounts"]
    }
