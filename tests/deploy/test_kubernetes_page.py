"""What docs/kubernetes.md shows can be done as it stands there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import (
    K8S,
    KUBECTL,
    Manifest,
    built,
    container_of,
    named,
    of_kind,
    pod_of,
)
from tests.deploy.schemas import OLDEST, require_accepted
from tests.service import ROOT

PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
FILES: dict[str, str] = dict(re.findall(r"```yaml\n# (deploy/k8s/\S+)\n(.*?)```", PAGE, re.S))
MINE = "deploy/k8s/overlays/mine"
IMAGE_VOLUMES = "1.35"
"""Since when the page promises that a volume may be an image."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """deploy/k8s with the files of the page, all of which the overlay takes in."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(K8S, folder / "deploy" / "k8s")
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    scaled = folder / MINE / "scaled" / "kustomization.yaml"  # with what another model needs
    text = scaled.read_text(encoding="utf-8")
    scaled.write_text(re.sub(r"^(      )# (?=- |  )", r"\1", text, flags=re.M), encoding="utf-8")
    mine = folder / MINE / "kustomization.yaml"
    described = yaml.safe_load(mine.read_text(encoding="utf-8"))
    parts = [Path(path).parent.name for path in FILES if path.startswith(MINE)]
    described["components"] = sorted(set(parts) - {"mine", "front"})
    described["resources"].append("front/ingress.yaml")
    mine.write_text(yaml.safe_dump(described), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def mine(checkout: Path) -> tuple[Manifest, ...]:
    return built(checkout / MINE)


def test_every_example_is_one_that_a_cluster_accepts(
    checkout: Path, mine: tuple[Manifest, ...]
) -> None:
    assert len(FILES) == len(re.findall("```yaml", PAGE))
    elsewhere = built(checkout / "deploy/k8s/overlays/elsewhere")
    for each in (*mine, *elsewhere):
        is_new = any("image" in volume for volume in _volumes(each))
        require_accepted(each, oldest=IMAGE_VOLUMES if is_new else OLDEST)
    assert not any(of_kind(elsewhere, "StatefulSet"))


def _volumes(manifest: Manifest) -> list[Manifest]:
    volumes: list[Manifest] = (
        pod_of(manifest)["volumes"] if manifest["kind"] == "Deployment" else []
    )
    return volumes


def test_the_examples_change_what_they_say(mine: tuple[Manifest, ...]) -> None:
    worker = named(mine, "Deployment", "worker")
    registry = "registry.example.com/darkroom"
    assert container_of(worker)["image"] == f"{registry}/darkroom-worker:0.1.0-cpu"
    assert [volume["name"] for volume in _volumes(worker)] == ["checkpoints", "tmp"]
    settings = {
        each["metadata"]["name"].rpartition("-")[0]: each["data"]
        for each in of_kind(mine, "ConfigMap")
    }
    assert settings["worker-settings"]["DARKROOM_CHECKPOINT"] == "/checkpoints/sd15"
    assert settings["api-settings"]["DARKROOM_DEFAULT_MODEL"] == "sd15"
    assert settings["api-settings"]["DARKROOM_KEYS"] == "required"
    assert settings["shared-settings"]["DARKROOM_PUBLIC_URL"] == "https://pictures.example.com"
    assert settings["shared-settings"]["DARKROOM_PICTURES"] == "s3://pictures/darkroom"
    for name in ("api", "worker"):
        sources = container_of(named(mine, "Deployment", name))["envFrom"]
        assert [each for each in sources if "secretRef" in each] == [
            {"secretRef": {"name": "bucket"}}
        ]
    scaled = named(mine, "ScaledObject", "worker")["spec"]
    assert scaled["maxReplicaCount"] == 4
    triggers = {each["name"]: each["metadata"] for each in scaled["triggers"]}
    assert triggers["waiting"]["listName"] == "rq:queue:darkroom-sd15"
    assert '"sd15"' in triggers["work"]["query"]
    assert "starter" not in str(scaled)
    (rule,) = named(mine, "Ingress", "api")["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    ports = named(mine, "Service", backend["name"])["spec"]["ports"]
    assert backend["port"]["name"] in {port["name"] for port in ports}


def test_commands_name_files_that_are_there(checkout: Path) -> None:
    for path in re.findall(r"(?:apply|delete) -k (\S+)", PAGE):
        assert (checkout / path / "kustomization.yaml").is_file()
    for path in re.findall(r"(?:-f |--from-file=|' )(docker/\S+?)[;\s]", PAGE):
        assert (ROOT / path).is_file(), path


def test_the_rules_of_compose_are_a_rule_of_the_operator() -> None:
    command = re.search(r"^    (\{ printf .*?\}) \| kubectl apply", PAGE, re.M | re.S)
    assert command is not None
    made = subprocess.run(
        ["bash", "-c", command[1]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    require_accepted(yaml.safe_load(made.stdout))


def test_the_secret_is_what_kubectl_makes_of_the_command() -> None:
    command = re.search(r"kubectl -n darkroom (create secret .*?)\n    kubectl", PAGE, re.S)
    assert command is not None
    made = subprocess.run(
        ["bash", "-c", f"PASSWORD=0123; {KUBECTL} {command[1]} --dry-run=client -o yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    secret = yaml.safe_load(made.stdout)
    assert secret["metadata"]["name"] == "darkroom"
    assert set(secret["data"]) == {"REDIS_PASSWORD", "REDIS_URL"}
