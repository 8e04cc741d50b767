"""The compose files."""

from typing import Any

import yaml

from tests.service import ROOT


def services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["services"]
    return found


def test_on_a_gpu_only_the_worker_differs_and_reserves_one() -> None:
    plain, gpu = services("docker-compose.yml"), services("docker-compose.gpu.yml")
    assert list(gpu) == ["worker"]
    assert gpu["worker"]["build"]["args"].keys() == plain["worker"]["build"]["args"].keys()
    (device,) = gpu["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_api_is_open_to_this_host_alone_where_it_asks_for_no_keys() -> None:
    """In its container it listens on every address."""
    api = services("docker-compose.yml")["api"]
    assert api["environment"]["DARKROOM_KEYS"] == "${DARKROOM_KEYS:-off}"
    assert all(port.startswith("127.0.0.1:") for port in api["ports"])


def test_what_delivers_webhooks_is_asked_for_and_set_as_the_api_is() -> None:
    plain = services("docker-compose.yml")
    api, webhooks = plain["api"]["environment"], plain["webhooks"]["environment"]
    of_who_asks = {"DARKROOM_KEYS", "DARKROOM_ALLOWED_HOSTS"}
    shared = {name: value for name, value in api.items() if name not in of_who_asks}
    assert plain["webhooks"]["profiles"] == ["webhooks"]
    assert {name: webhooks[name] for name in shared} == shared
