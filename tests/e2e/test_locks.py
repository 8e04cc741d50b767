"""What the images install: locks that hold all that pyproject.toml asks for."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.service import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = re.compile(r"^([\w.-]+)==(\S+)(?: ;.*)? \\\n((?:    --hash=sha256:\w+(?: \\)?\n)+)", re.M)
APART = "torch"  # which build is right depends on the machine


def locked(name: str) -> dict[str, set[Version]]:
    """The versions of each package in a lock; some differ by the version of Python."""
    text = (ROOT / "docker" / f"{name}.lock.txt").read_text(encoding="utf-8")
    versions: dict[str, set[Version]] = {}
    for package, version, _ in PINNED.findall(text):
        versions.setdefault(package, set()).add(Version(version))
    assert len(PINNED.findall(text)) == len(re.findall(r"^\w", text, re.M)), "one without hashes"
    return versions


def images() -> dict[str, list[str]]:
    """The lock of each image, and the extras that `make lock` puts into it."""
    commands = subprocess.run(
        ["make", "--dry-run", "lock"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.replace("\\\n", "")
    return {
        name: re.findall(r"--extra (\w+)", extras)
        for extras, name in re.findall(r"pyproject.toml (.*)-o docker/(\w+).lock.txt", commands)
    }


def asked(extras: list[str]) -> Iterator[Requirement]:
    project = PROJECT["project"]
    optional = [line for extra in extras for line in project["optional-dependencies"][extra]]
    for line in [*project["dependencies"], *optional]:
        requirement = Requirement(line)
        if requirement.name != APART:
            yield requirement


@pytest.mark.parametrize("image", ["api", "worker"])
def test_a_lock_holds_what_the_image_needs(image: str) -> None:
    versions, extras = locked(image), images()[image]
    assert image != "api" or {"app", "courier", "otel", "s3"} == set(extras)
    assert image != "worker" or {"worker", "otel", "s3"} == set(extras)
    assert APART not in versions
    for requirement in asked(extras):
        found = versions.get(canonicalize_name(requirement.name), set())
        assert found, f"{requirement.name} is missing: `make lock`"
        assert all(version in requirement.specifier for version in found), requirement


def test_the_worker_lock_holds_what_torch_needs_but_for_a_gpus_libraries() -> None:
    needed = [Requirement(line) for line in requires(APART) or ()]
    everywhere = [each for each in needed if each.marker is None]
    assert {"jinja2", "sympy"} <= {each.name for each in everywhere}
    versions = locked("worker")
    for requirement in everywhere:
        found = versions.get(canonicalize_name(requirement.name), set())
        assert found, f"{requirement.name} is missing: name it in TORCH_NEEDS, and `make lock`"
        assert all(version in requirement.specifier for version in found), requirement


def test_what_builds_the_package_is_locked_too() -> None:
    (backend,) = (Requirement(line) for line in PROJECT["build-system"]["requires"])
    assert backend.name in locked("build")


def test_the_worker_image_takes_a_torch_that_the_project_allows() -> None:
    dockerfile = (ROOT / "docker" / "worker.Dockerfile").read_text(encoding="utf-8")
    worker = PROJECT["project"]["optional-dependencies"]["worker"]
    (allowed,) = (line for line in worker if Requirement(line).name == APART)
    assert f"'{allowed}'" in dockerfile
