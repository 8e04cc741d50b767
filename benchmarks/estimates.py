"""How far the seconds given at acceptance are off, by the whole service: Redis, API and a worker.

    python benchmarks/estimates.py [--device starter] [--mix equal mixed] [--loads 0.3 0.8 1.0]
        [--requests 160] [--slow-down 2] [--json FILE] [--quick]

--device is `starter`, the real worker with models/starter on this machine's CPU, or `simulated`, a
worker whose steps take as long as an H100's did, times --slow-down. Each mix of the load tester
(benchmarks/load_test/demand.py) first comes all at once, from which the worker's capacity follows,
and then as Poisson arrivals at each load, which is a share of that capacity. Of each job the
seconds in the answer to its POST are held against those from its acceptance to its end: |estimate -
truth| / truth. The bar is a median of at most 20% at 0.8. It asks no address but its own.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from processes import is_ready
from redis import Redis

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from load_test.choices import Card  # noqa: E402
from load_test.demand import Ask, Mix, poisson  # noqa: E402
from load_test.service import Service  # noqa: E402
from promises import errors  # noqa: E402
from simulated.step_times import FAMILY, TABLE  # noqa: E402

from contract.connections import connect, require_redis  # noqa: E402
from contract.forecast import Work  # noqa: E402
from contract.request import JobRequest  # noqa: E402
from contract.workers import ModelCard, known_models, live_workers  # noqa: E402
from darkroom.embedded_redis import embedded_redis, free_url  # noqa: E402
from darkroom.part import part, require_alive  # noqa: E402
from tests.address import free_port  # noqa: E402

BAR, BAR_LOAD = 0.2, 0.8
LIMIT_S = 120.0
POLL_S = 0.05
BURST = 24  # jobs that come at once
HEATING = 0.1  # of the requests of a load, which come first and are not judged
SETTLE_S = 2.5  # until the worker has told of the burst, and the API has read it


@contextmanager
def service(options: argparse.Namespace) -> Iterator[tuple[str, Redis]]:
    """The address of an API with one worker, and its Redis."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, port = free_url(), free_port()
        stack.enter_context(embedded_redis(url, folder))
        connection = stack.enter_context(connect(url, timeout_s=10.0))
        require_redis(connection, LIMIT_S)
        environment = os.environ | {"REDIS_URL": url, "PYTHONPATH": str(ROOT)}
        environment |= {"DARKROOM_METRICS_PORT": "0"}
        log = stack.enter_context((folder / "log.txt").open("ab"))
        commands = {
            "API": ["-m", "darkroom", "api", "--port", str(port)],
            "worker": worker(options),
        }
        running = {
            name: stack.enter_context(part(name, [sys.executable, *command], environment, log))
            for name, command in commands.items()
        }
        address = f"http://127.0.0.1:{port}"
        give_up_at = time.monotonic() + LIMIT_S
        while not is_ready(address, with_workers=True):
            require_alive(running)
            if time.monotonic() > give_up_at:
                raise TimeoutError((folder / "log.txt").read_text())
            time.sleep(POLL_S)
        yield address, connection


def worker(options: argparse.Namespace) -> list[str]:
    if options.device == "starter":
        return ["-m", "darkroom", "worker"]
    told = {"--model": "simulated", "--table": TABLE.resolve(), "--family": FAMILY}
    told |= {"--slow-down": options.slow_down}
    words = [str(word) for option in told.items() for word in option]
    return [str(ROOT / "benchmarks" / "simulated_worker.py"), *words]


async def one(service: Service, ask: Ask, model: str) -> tuple[float | None, float]:
    """The seconds that were estimated at acceptance, and the true ones."""
    job = await service.post(ask.body(model))
    end = await service.end_of(job)
    if end.state != "succeeded" or end.ended is None:
        raise RuntimeError(f"job {end.id} {end.state}: {end.error}")
    return job.estimated_s, end.ended - end.created


async def arrive(
    address: str, asks: Sequence[Ask], moments: Sequence[float], model: str
) -> list[tuple[float | None, float]]:
    """Each at its moment, whatever has become of the others."""
    async with Service(address) as service:
        began = asyncio.get_running_loop().time()

        async def later(ask: Ask, moment: float) -> tuple[float | None, float]:
            await asyncio.sleep(began + moment - asyncio.get_running_loop().time())
            return await one(service, ask, model)

        coming = (later(ask, moment) for ask, moment in zip(asks, moments, strict=True))
        return await asyncio.gather(*coming)


def jobs_per_s(connection: Redis, card: ModelCard, mix: Mix) -> float:
    """What the workers do with full batches, by what they tell of themselves."""
    speeds = [worker.full_row_steps_per_s for worker in live_workers(connection)]
    known = [speed for speed in speeds if speed is not None]
    asks = list(islice(mix.asks(0), 1000))
    bodies = [ask.body(card.id) for ask in asks]
    works = [Work.of(JobRequest.model_validate(body), card.native).row_steps for body in bodies]
    return sum(known) / statistics.fmean(works)


def judged(name: str, load: float, found: Sequence[tuple[float | None, float]]) -> dict[str, Any]:
    told = [(estimate, truth) for estimate, truth in found if estimate is not None]
    about = {"mix": name, "load": load, "requests": len(found)}
    return about | errors(told) | {"truth_p50_s": statistics.median(t for _, t in told)}


def measure(options: argparse.Namespace, name: str) -> Iterator[dict[str, Any]]:
    """One mix at each load, with a service of its own."""
    with service(options) as (address, connection):
        card = next(iter(known_models(connection).values()))
        sizes = {"sizes": "native"} if options.device == "simulated" else {}
        mix = Mix.parse(name, sizes).on(_choices(card))
        burst = list(islice(mix.asks(1), options.burst))
        asyncio.run(arrive(address, burst, [0.0] * len(burst), card.id))
        time.sleep(SETTLE_S)
        per_s = jobs_per_s(connection, card, mix)
        for load in options.loads:
            time.sleep(SETTLE_S)
            count = options.requests if load == BAR_LOAD else options.requests // 3
            heating = round(HEATING * count)
            asks = list(islice(mix.asks(2), heating + count))
            moments = list(islice(poisson(load * per_s, 3), heating + count))
            found = asyncio.run(arrive(address, asks, moments, card.id))
            yield judged(name, load, found[heating:]) | {"jobs_per_s": load * per_s}


def _choices(card: ModelCard) -> Card:
    return Card.of(card.model_dump())


def say(row: dict[str, Any]) -> None:
    verdict = ""
    if row["load"] == BAR_LOAD:
        verdict = "PASS" if row["median_error"] <= BAR else "MISS"
    print(
        f"{row['mix']:10}  {row['load']:4.1f}  {row['jobs_per_s']:6.2f}/s  {row['requests']:8}"
        f"  {row['truth_p50_s']:8.2f} s  {row['median_error']:8.1%}  {row['p90_error']:7.1%}"
        f"  {row['median_bias']:+8.1%}  {verdict}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("starter", "simulated"), default="starter")
    parser.add_argument("--mix", nargs="+", default=["equal", "mixed"])
    parser.add_argument("--loads", type=float, nargs="+", default=[0.3, 0.8, 1.0])
    parser.add_argument(
        "--requests", type=int, default=160, help="at 0.8; a third as many at others"
    )
    parser.add_argument("--burst", type=int, default=BURST, help="jobs that come at once first")
    parser.add_argument("--slow-down", type=float, default=2.0, help="of the simulated device")
    parser.add_argument("--quick", action="store_true", help="a few requests, to see that it runs")
    parser.add_argument("--json", type=Path, help="file that the result is added to")
    options = parser.parse_args()
    if options.quick:
        options.device, options.mix, options.loads = "simulated", ["mixed"], [0.8]
        options.requests, options.burst, options.slow_down = 10, 4, 0.05
    print("mix         load    rate     requests  truth p50    median      p90    signed")
    known = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    for name in options.mix:
        for row in measure(options, name):
            say(row)
            known.setdefault(options.device, {}).setdefault(name, {})[str(row["load"])] = row
            if options.json:
                options.json.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
