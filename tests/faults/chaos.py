"""Everything is killed while clients ask; at the end each has its pictures, and the right ones.

    python -m tests.faults.chaos [--jobs 1000] [--workers 3] [--every 3]

Starts a Redis (Valkey, with appendfsync always), an API and workers with a tiny model of its own.
Clients send a mix of requests, each with a key, and send it again until it is answered. Meanwhile
a busy worker is killed every few seconds, two are frozen for longer than a lease (one of them
between the store's write and the commit), Redis is restarted twice and killed once, and the API is
restarted twice. Then a table is printed; the exit status is 0 where nothing was lost.
"""

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from redis import Redis

from contract import queue
from contract.connections import connect
from contract.events import EventKind, read_events
from contract.request import JobRequest
from tests.checkpoints import build_checkpoint
from tests.faults.clients import Answer, Clients
from tests.faults.fleet import Fleet, environment_of
from tests.faults.history import offences
from tests.faults.hooked_worker import FREEZE_FILE, SHORT_LEASES
from tests.faults.quiet import QuietRun
from tests.faults.servers import ApiServer, RedisServer
from tests.waiting import until

MODEL = "tiny"
CLIENTS = 16
LOOK_S = 0.05
TELL_S = 10.0
LIMIT_S = 3600.0
RECOVERY_LIMIT_S = 15.0
WASTE_LIMIT = 0.1  # of an average job
MIX: tuple[dict[str, Any], ...] = (
    {"sampler": "euler", "steps": 20},
    {"sampler": "dpmpp_2m_sde", "steps": 40, "width": 96},
    {"sampler": "lms", "steps": 30, "guidance": 1.0},
    {"sampler": "ddpm", "steps": 150, "images": 2},
    {"sampler": "unipc", "steps": 25, "height": 96},
    {"sampler": "euler_a", "steps": 150},
)
SEEDS = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens when: shares of the jobs that are done by then."""

    jobs: int
    workers: int
    kill_every_s: float
    most_kills: float = math.inf
    redis_restarts: tuple[float, ...] = (0.15, 0.75)
    redis_kills: tuple[float, ...] = (0.45,)
    api_restarts: tuple[float, ...] = (0.3, 0.6)
    freezes: tuple[float, ...] = (0.2,)
    commit_freezes: tuple[float, ...] = (0.5,)
    has_short_leases: bool = False


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that was killed or frozen."""

    at: float  # seconds since the epoch
    held: list[str]  # its jobs

    def recovered(self, connection: Redis) -> Iterator[float]:
        """Seconds until each of its jobs was back in the queue; none for those that had ended."""
        for job_id in self.held:
            for event in read_events(connection, job_id):
                if event.kind is EventKind.REQUEUED and event.at >= self.at:
                    yield event.at - self.at
                    break


@dataclass(slots=True)
class Report:
    jobs: int
    kills: int = 0
    freezes: int = 0
    redis_restarts: int = 0
    api_restarts: int = 0
    lost: int = 0  # requests that did not end in pictures
    duplicated: int = 0  # jobs too many, or results too many
    wrong: int = 0  # pictures that are not those of a quiet run
    crashed: int = 0  # workers that ended by themselves
    offences: int = 0  # against the order of states
    left_behind: int = 0  # leases, executions, checkpoints and popped ids that remain
    rows_computed: int = 0  # of U-Net calls, by all workers
    wasted: float = 0.0  # rows that no picture needed, for each recovered job; of an average job's
    recovery_s: list[float] = field(default_factory=list)  # from a death until back in the queue
    reasons: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_in_time(self) -> bool:
        """Whether the times and the work are within what docs/reliability.md promises."""
        return self.percentile(0.99) <= RECOVERY_LIMIT_S and self.wasted <= WASTE_LIMIT

    @property
    def is_clean(self) -> bool:
        faults = (
            self.lost,
            self.duplicated,
            self.wrong,
            self.offences,
            self.left_behind,
            self.crashed,
        )
        return not any(faults)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.recovery_s) or [0.0]
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def __str__(self) -> str:
        rows = (
            ("jobs", self.jobs),
            ("workers killed", self.kills),
            ("workers frozen", self.freezes),
            ("Redis restarted or killed", self.redis_restarts),
            ("API restarted", self.api_restarts),
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("wrong pictures", self.wrong),
            ("offences against the order of states", self.offences),
            ("workers that ended by themselves", self.crashed),
            ("left behind in Redis", self.left_behind),
            ("work done twice by a recovered job", f"{self.wasted:.1%}"),
            ("jobs recovered", len(self.recovery_s)),
            ("recovery, p50", f"{self.percentile(0.5):.1f} s"),
            ("recovery, p99", f"{self.percentile(0.99):.1f} s"),
            ("time", f"{self.seconds:.0f} s"),
        )
        lines = [f"{name:<42} {value:>8}" for name, value in rows]
        return "\n".join([*lines, *(f"  {reason}" for reason in self.reasons[:20])])


def requests(count: int) -> list[dict[str, Any]]:
    """Bodies of POST /generate."""
    fields = {"prompt": "a red circle", "model": MODEL, "width": 64, "height": 64}
    return [
        fields | MIX[n % len(MIX)] | {"seed": 10 * (n // len(MIX) % SEEDS)} for n in range(count)
    ]


def run(plan: Plan) -> Report:
    """One run, from an empty Redis to the last answer."""
    report = Report(plan.jobs)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        checkpoint = build_checkpoint(folder / MODEL)
        server = RedisServer(folder / "redis")
        stack.callback(server.stop)
        connection = stack.enter_context(connect(server.url, timeout_s=5.0))
        answers, deaths = _disturb(plan, report, server, connection, checkpoint)
        _judge(report, connection, answers, QuietRun(checkpoint))
        report.recovery_s = [seconds for each in deaths for seconds in each.recovered(connection)]
        wasted = report.rows_computed - sum(_request(each).row_steps for each in answers)
        average = statistics.mean(_request(each).row_steps for each in answers)
        report.wasted = wasted / max(len(report.recovery_s), 1) / average
    return report


def _disturb(
    plan: Plan, report: Report, server: RedisServer, connection: Redis, checkpoint: Path
) -> tuple[list[Answer], list[Death]]:
    """Lets clients ask, and carries out the plan until all are answered."""
    with ExitStack() as stack:
        freeze_file, logs = checkpoint.with_name("freeze"), checkpoint.with_name("logs")
        logs.mkdir()
        environment = environment_of(server.url, checkpoint) | {FREEZE_FILE: str(freeze_file)}
        if plan.has_short_leases:
            environment[SHORT_LEASES] = "1"
        fleet = Fleet(plan.workers, environment, connection, logs)
        stack.callback(fleet.stop)
        api = ApiServer(environment)
        stack.callback(api.stop)
        until(lambda: fleet.tend() or fleet.is_ready)
        began = time.monotonic()
        clients = Clients(api.url, requests(plan.jobs), CLIENTS)
        stack.callback(clients.stop)
        director = Director(plan, report, fleet, server, api, freeze_file)
        pause = Event()
        tell_at = began
        while not clients.is_done() and time.monotonic() - began < LIMIT_S:
            director.direct(clients.done / plan.jobs)
            if time.monotonic() >= tell_at:
                tell_at += TELL_S
                told = f"{clients.done} of {plan.jobs} answered, {report.kills} workers killed\n"
                sys.stderr.write(told)
            pause.wait(LOOK_S)
        report.seconds = time.monotonic() - began
    report.rows_computed, report.crashed = fleet.rows, len(fleet.crashes)
    report.reasons += fleet.crashes
    return clients.answers, director.deaths


class Director:
    """Carries out the plan."""

    def __init__(
        self,
        plan: Plan,
        report: Report,
        fleet: Fleet,
        server: RedisServer,
        api: ApiServer,
        freeze_file: Path,
    ):
        self._plan, self._report, self._fleet = plan, report, fleet
        self._server, self._api, self._freeze_file = server, api, freeze_file
        self._kill_at = time.monotonic() + plan.kill_every_s
        acts: list[tuple[tuple[float, ...], Callable[[], None]]] = [
            (plan.redis_restarts, self._restart_redis),
            (plan.redis_kills, self._kill_redis),
            (plan.api_restarts, self._restart_api),
            (plan.freezes, self._freeze),
            (plan.commit_freezes, self._freeze_commit),
        ]
        self._acts = [(share, act) for shares, act in acts for share in shares]
        self.deaths: list[Death] = []

    def direct(self, done: float) -> None:
        """One look.

        Args:
            done: share of the requests that are answered.
        """
        self._fleet.tend()
        for share, act in list(self._acts):
            is_fit = self._fleet.is_ready or act not in (self._freeze, self._freeze_commit)
            if done >= share and is_fit:
                self._acts.remove((share, act))
                act()
        self._find_frozen()
        if time.monotonic() >= self._kill_at and self._report.kills < self._plan.most_kills:
            self._kill_at = time.monotonic() + self._plan.kill_every_s
            self._kill()

    def _kill(self) -> None:
        victim = self._fleet.victim()
        if victim is None:
            return
        death = self._death_of(victim)
        if self._fleet.kill(victim):
            self.deaths.append(death)
            self._report.kills += 1

    def _freeze(self) -> None:
        victim = until(lambda: self._fleet.tend() or self._fleet.victim())
        self.deaths.append(self._death_of(victim))
        self._fleet.freeze(victim)
        self._report.freezes += 1

    def _freeze_commit(self) -> None:
        """Whoever commits next finds the file and freezes itself."""
        self._freeze_file.touch()

    def _find_frozen(self) -> None:
        note = self._freeze_file.with_suffix(".pid")
        if note.exists():
            pid = int(note.read_text(encoding="utf-8"))
            note.unlink()
            self.deaths.append(self._death_of(self._fleet.name_of(pid)))
            self._fleet.will_thaw(pid)
            self._report.freezes += 1

    def _death_of(self, worker: str) -> Death:
        return Death(time.time(), self._fleet.held_by(worker))

    def _restart_redis(self) -> None:
        self._server.restart()
        self._report.redis_restarts += 1

    def _kill_redis(self) -> None:
        self._server.kill()
        self._report.redis_restarts += 1

    def _restart_api(self) -> None:
        self._api.restart()
        self._report.api_restarts += 1


def _judge(report: Report, connection: Redis, answers: Sequence[Answer], quiet: QuietRun) -> None:
    for answer in answers:
        if answer.state != "succeeded":
            report.lost += 1
            report.reasons.append(f"{answer.state}: {answer.error}")
            continue
        report.wrong += quiet.wrong(_request(answer), answer.pictures)
        report.duplicated += len(answer.job_ids) - 1
        for job_id in answer.job_ids:
            report.duplicated += connection.xlen(f"rq:results:{job_id}") != 1
            found = offences(read_events(connection, job_id))
            report.offences += len(found)
            report.reasons += [f"{job_id}: {offence}" for offence in found]
    report.duplicated += len(connection.keys("rq:job:*")) - len(answers)
    waiting = queue.model_queue(connection, MODEL)
    left = connection.zcard(f"darkroom:leases:{waiting.name}")
    left += connection.llen(waiting.intermediate_queue_key)
    left += len(connection.keys("rq:execution:*")) + len(connection.keys("darkroom:checkpoint:*"))
    report.left_behind = left


def _request(answer: Answer) -> JobRequest:
    return JobRequest.model_validate(answer.asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills")
    options = parser.parse_args()
    report = run(Plan(options.jobs, options.workers, options.every))
    sys.stdout.write(f"{report}\n")
    sys.exit(0 if report.is_clean and report.is_in_time else 1)


if __name__ == "__main__":
    main()
