"""What is applied is what a cluster takes, and its parts know each other."""

import json
import re
import tomllib
from collections.abc import Iterator

import pytest
import yaml
from kubernetes_validate import ValidationError

from tests.deploy.manifests import (
    K8S,
    WORKLOADS,
    Manifest,
    built,
    container_of,
    labels_of,
    named,
    of_kind,
    overlay_in,
    pod_of,
    ports_of,
    selects,
)
from tests.deploy.schemas import require_accepted
from tests.service import ROOT

Everything = tuple[Manifest, ...]


def test_each_manifest_is_one_that_a_cluster_accepts(
    cpu: Everything, gpu: Everything, everything: Everything
) -> None:
    for text in {json.dumps(each, sort_keys=True) for each in (*cpu, *gpu, *everything)}:
        require_accepted(json.loads(text))


def test_what_is_misspelt_is_refused(everything: Everything) -> None:
    api = json.loads(json.dumps(named(everything, "Deployment", "api")))
    container_of(api)["readinesProbe"] = {}
    with pytest.raises(ValidationError):
        require_accepted(api)
    scaled = json.loads(json.dumps(named(everything, "ScaledObject", "worker")))
    scaled["spec"]["cooldownSeconds"] = 1
    with pytest.raises(AssertionError):
        require_accepted(scaled)


def test_everything_lives_in_the_namespace_and_bears_our_name(everything: Everything) -> None:
    for each in everything:
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "darkroom"
        if each["kind"] not in ("Namespace", "ConfigMap"):
            assert each["metadata"]["labels"]["app.kubernetes.io/name"] == "darkroom"


def test_the_base_names_no_namespace() -> None:
    assert all("namespace" not in each["metadata"] for each in built(K8S / "base"))


def test_selectors_take_the_pods_of_one_workload_each(everything: Everything) -> None:
    workloads = list(of_kind(everything, *WORKLOADS))
    for each in workloads:
        assert selects(each["spec"]["selector"], labels_of(each))
    selectors = [each["spec"]["selector"] for each in workloads]
    selectors += [each["spec"]["selector"] for each in of_kind(everything, "PodDisruptionBudget")]
    selectors += [
        {"matchLabels": each["spec"]["selector"]} for each in of_kind(everything, "Service")
    ]
    for each in workloads:
        selectors += [
            spread["labelSelector"] for spread in pod_of(each).get("topologySpreadConstraints", ())
        ]
    for selector in selectors:
        assert len([each for each in workloads if selects(selector, labels_of(each))]) == 1


def test_ports_that_are_named_are_there(everything: Everything) -> None:
    for workload in of_kind(everything, *WORKLOADS):
        container = container_of(workload)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(kind, {})
            way = asked.get("httpGet") or asked.get("tcpSocket")
            assert way is None or way["port"] in ports_of(workload)
    for service in of_kind(everything, "Service"):
        (workload,) = (
            each
            for each in of_kind(everything, *WORKLOADS)
            if selects({"matchLabels": service["spec"]["selector"]}, labels_of(each))
        )
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports_of(workload))


def test_what_a_pod_names_is_there(everything: Everything) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in everything}
    for workload in of_kind(everything, *WORKLOADS):
        pod, container = pod_of(workload), container_of(workload)
        assert ("ServiceAccount", pod["serviceAccountName"]) in there
        for source in container.get("envFrom", ()):
            assert ("ConfigMap", source["configMapRef"]["name"]) in there
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        claims = workload["spec"].get("volumeClaimTemplates", ())
        volumes |= {claim["metadata"]["name"]: claim for claim in claims}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there


def test_what_is_scaled_is_there_and_says_no_number_itself(everything: Everything) -> None:
    scalers = list(of_kind(everything, "HorizontalPodAutoscaler", "ScaledObject"))
    assert len(scalers) == 2
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        found = named(everything, target["kind"], target["name"])
        assert found["apiVersion"] == target["apiVersion"]
        assert "replicas" not in found["spec"]


def test_each_component_builds_alone_over_an_overlay(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for path in (K8S / "components").iterdir():
        if path.name != "redis":
            built(overlay_in(tmp_path_factory.mktemp(path.name), [path.name]))


def _images(everything: Everything) -> Iterator[tuple[str, str]]:
    for workload in of_kind(everything, *WORKLOADS):
        name, _, tag = container_of(workload)["image"].partition(":")
        yield name, tag


def test_images_are_of_this_version_and_of_the_right_torch(
    cpu: Everything, gpu: Everything
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    compose = yaml.safe_load(text)
    redis = tuple(compose["services"]["redis"]["image"].split(":"))
    cuda = re.search(r"GPU_TORCH_BACKEND:?-(cu\d+)", text)
    assert cuda is not None
    for overlay, backend in ((cpu, "cpu"), (gpu, cuda[1])):
        assert sorted(_images(overlay)) == [
            ("darkroom-api", version),
            ("darkroom-worker", f"{version}-{backend}"),
            redis,
        ]


def test_with_a_gpu_only_the_worker_differs(cpu: Everything, gpu: Everything) -> None:
    def apart(overlay: Everything) -> list[Manifest]:
        own = ("worker", "worker-settings")
        return [each for each in overlay if not each["metadata"]["name"].startswith(own)]

    assert apart(cpu) == apart(gpu)
    worker = named(gpu, "Deployment", "worker")
    assert container_of(worker)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod_of(
        worker
    )["tolerations"]
    # A new pod would wait for a GPU that only an old one's end sets free.
    assert worker["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
