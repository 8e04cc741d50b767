"""A real Prometheus, set as in compose but for where its targets are, and questions to it."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.address import free_port
from tests.service import ROOT
from tests.waiting import until

FOLDER = ROOT / "docker" / "prometheus"
INTERVAL_S = 1
"""Between two scrapes, and between two evaluations of the rules."""


@dataclass(frozen=True, slots=True)
class Series:
    labels: dict[str, str]
    points: list[tuple[float, float]]  # time in seconds since the epoch, value


class Prometheus:
    def __init__(self, client: httpx.Client):
        self._client = client

    def ask(self, query: str) -> list[Series]:
        """What a query gives now."""
        return [_series(each, [each["value"]]) for each in self._get("query", query=query)]

    def ask_range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        found = self._get("query_range", query=query, start=start, end=end, step=step)
        return [_series(each, each["values"]) for each in found]

    def rules(self) -> list[dict[str, Any]]:
        answer = self._client.get("/api/v1/rules").raise_for_status().json()
        return [rule for group in answer["data"]["groups"] for rule in group["rules"]]

    def _get(self, what: str, **parameters: str | float) -> list[dict[str, Any]]:
        answer = self._client.post(f"/api/v1/{what}", data=parameters).json()
        assert answer["status"] == "success", f"{parameters['query']}: {answer['error']}"
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        found: list[dict[str, Any]] = data["result"]
        return found


@contextmanager
def prometheus(targets: Mapping[str, list[str]], folder: Path) -> Iterator[Prometheus]:
    """
    Args:
        targets: addresses by the name of their scrape job.
        folder: for the configuration and the data.
    """
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(_config(targets)), encoding="utf-8")
    port = free_port()
    running = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
            until(lambda: _is_ready(client))
            yield Prometheus(client)
    finally:
        running.terminate()
        running.wait(30)


def _config(targets: Mapping[str, list[str]]) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    known = {job["job_name"] for job in config["scrape_configs"]}
    assert targets.keys() <= known, f"{targets.keys() - known} is no scrape job"
    interval = f"{INTERVAL_S}s"
    return {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "rule_files": [str(FOLDER / path) for path in config["rule_files"]],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": addresses}]}
            for job, addresses in targets.items()
        ],
    }


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.TransportError:
        return False


def _series(found: Mapping[str, Any], points: list[list[Any]]) -> Series:
    return Series(found["metric"], [(float(at), float(value)) for at, value in points])
