"""Prometheus finds each API and each worker, with its operator or without, named as in compose."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.deploy.manifests import (
    K8S,
    WORKLOADS,
    Manifest,
    labels_of,
    named,
    of_kind,
    ports_of,
    selects,
)
from tests.service import ROOT

Everything = tuple[Manifest, ...]

COMPOSE = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text(encoding="utf-8"))
FOUND = {("api", 8000, "darkroom-api"), ("worker", 9464, "darkroom-worker")}


def test_the_jobs_are_named_as_in_compose() -> None:
    names = {each["job_name"] for each in COMPOSE["scrape_configs"]}
    assert {job for _, _, job in FOUND} <= names


def test_the_operator_finds_each_once(everything: Everything) -> None:
    spec = named(everything, "PodMonitor", "darkroom")["spec"]
    found = [
        (workload["metadata"]["name"], ports_of(workload)[way["port"]], rule["replacement"])
        for workload in of_kind(everything, *WORKLOADS)
        if selects(spec["selector"], labels_of(workload))
        for way in spec["podMetricsEndpoints"]
        if way["port"] in ports_of(workload)
        for rule in way["relabelings"]
        if rule["targetLabel"] == "job"
    ]
    assert sorted(found) == sorted(FOUND)


def _targets(everything: Everything) -> list[dict[str, str]]:
    """What Prometheus' discovery says of each port of each pod, as far as it is asked for."""
    return [
        {
            "__meta_kubernetes_namespace": "darkroom",
            "__meta_kubernetes_pod_name": workload["metadata"]["name"],
            "__meta_kubernetes_pod_phase": "Running",
            "__meta_kubernetes_pod_container_port_name": port,
            "__address__": str(number),
            **{
                "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", key): value
                for key, value in labels_of(workload).items()
            },
        }
        for workload in of_kind(everything, *WORKLOADS)
        for port, number in ports_of(workload).items()
    ]


def _relabelled(target: dict[str, str], rules: list[Manifest]) -> dict[str, str] | None:
    """As Prometheus does it; None where the target is dropped."""
    labels = dict(target)
    for rule in rules:
        text = ";".join(labels.get(name, "") for name in rule["source_labels"])
        matched = re.fullmatch(rule.get("regex", "(.*)"), text, re.DOTALL)
        match rule.get("action", "replace"):
            case "keep" if matched is None:
                return None
            case "drop" if matched is not None:
                return None
            case "replace" if matched is not None:
                replacement = rule.get("replacement", "$1").replace("$1", r"\1")
                labels[rule["target_label"]] = matched.expand(replacement)
    return labels


def test_without_the_operator_prometheus_finds_the_same(everything: Everything) -> None:
    (config,) = yaml.safe_load((K8S / "prometheus.yml").read_text())["scrape_configs"]
    assert config["kubernetes_sd_configs"] == [{"role": "pod"}]
    kept = [
        labels
        for target in _targets(everything)
        if (labels := _relabelled(target, config["relabel_configs"])) is not None
    ]
    found = [(each["pod"], int(each["__address__"]), each["job"]) for each in kept]
    assert sorted(found) == sorted(FOUND)
    assert {each["namespace"] for each in kept} == {"darkroom"}


def test_prometheus_takes_the_rest_of_the_file(tmp_path: Path) -> None:
    """Debian's Prometheus was built without the discovery of Kubernetes."""
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is in Debian's package prometheus"
    config = yaml.safe_load((K8S / "prometheus.yml").read_text())
    del config["scrape_configs"][0]["kubernetes_sd_configs"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [promtool, "check", "config", tmp_path / "prometheus.yml"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
