"""The compose file."""

import re
from typing import Any

import pytest
import yaml

from app.settings import AppSettings
from contract.errors import BadSetting
from contract.settings import load_settings
from tests.service import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
LIMITS = {"memory", "cpus", "pids"}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@every_service
def test_a_service_has_no_rights_that_it_does_not_need(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@every_service
def test_a_service_is_bounded(service: dict[str, Any]) -> None:
    assert service["deploy"]["resources"]["limits"].keys() == LIMITS
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_only_the_api_and_what_watches_it_are_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.keys() == {"api", "prometheus", "grafana"}
    assert published["api"] == ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]
    (prometheus,), (grafana,) = published["prometheus"], published["grafana"]
    assert prometheus.startswith("127.0.0.1:")
    assert grafana.startswith("127.0.0.1:")


def test_the_api_asks_for_no_keys_where_this_host_alone_reaches_it() -> None:
    """In its container it listens on every address, so elsewhere somebody must say who may ask."""
    assert SERVICES["api"]["environment"]["DARKROOM_KEYS"] == "${DARKROOM_KEYS:-${BIND:-off}}"
    with pytest.raises(BadSetting, match=r"^DARKROOM_KEYS: .*'required' or 'off'"):
        load_settings(AppSettings, keys="0.0.0.0")


def test_the_worker_on_a_gpu_is_asked_for_and_is_else_the_one_on_the_cpu() -> None:
    cpu, gpu = SERVICES["worker"], dict(SERVICES["worker-gpu"])
    assert gpu.pop("profiles") == ["gpu"]
    assert gpu.pop("networks") == {"default": {"aliases": ["worker"]}}
    assert gpu.pop("environment") == cpu["environment"] | {"DARKROOM_DEVICE": "cuda"}
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert gpu["build"]["args"].keys() == cpu["build"]["args"].keys()
    shared = gpu.keys() - {"build", "deploy"}
    assert shared == cpu.keys() - {"build", "deploy", "environment"}
    assert all(gpu[name] == cpu[name] for name in shared)


def test_what_delivers_webhooks_is_asked_for_and_set_as_the_api_is() -> None:
    api, webhooks = SERVICES["api"]["environment"], SERVICES["webhooks"]["environment"]
    assert SERVICES["webhooks"]["profiles"] == ["webhooks"]
    assert {name: api[name] for name in webhooks} == webhooks
    assert SERVICES["webhooks"]["build"] == SERVICES["api"]["build"]


def test_redis_drops_nothing_and_its_password_is_in_no_command_and_no_environment() -> None:
    command = SERVICES["redis"]["command"]
    assert "--appendonly yes" in " ".join(command)
    assert "--maxmemory-policy noeviction" in " ".join(command)
    assert "requirepass" not in TEXT
    assert "REDIS_URL" not in TEXT


def test_a_service_that_stays_has_a_healthcheck() -> None:
    """`docker compose up --wait` refuses one whose image has one that is switched off."""
    built = {"api", "worker", "worker-gpu"}  # whose images have one
    for name, service in SERVICES.items():
        if name != "secrets" and name not in built:
            assert "test" in service["healthcheck"], name


def test_grafana_which_everybody_may_look_at_has_its_own_password_alone() -> None:
    mounted = {
        name: {volume.split(":")[0] for volume in service.get("volumes", ())}
        for name, service in SERVICES.items()
    }
    assert "secrets" not in mounted["grafana"]
    users = {name for name, volumes in mounted.items() if "grafana-secrets" in volumes}
    assert users == {"grafana", "secrets"}


def test_what_can_be_set_stands_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    left_open = {
        name
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if value is None
    }
    assert asked | left_open <= set(re.findall(r"^#(\w+)=", example, re.MULTILINE))
