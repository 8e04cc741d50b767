"""Keys take turns, and priorities go before each other, in RQ's own list."""

import random
from collections import Counter
from itertools import groupby
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from contract import queue
from contract.acceptance import Terms
from contract.claims import requeue, take
from contract.endings import cancel, commit
from contract.identity import new_job_id
from contract.job import JobState, read_job
from contract.sweep import sweep
from contract.transactions import DEATHS_FIELD, OWNER_FIELD, STRIKES_FIELD, Claim
from contract.turns import order_key
from tests.contract.records import WORKER, rq_job, started, taken
from tests.contract.samples import TTL_S, job_request, job_result
from tests.contract.test_leases import run_out
from tests.contract.test_sweep import unlock

PRIORITIES = ("high", "normal", "low")


def ask(jobs: Queue, owner: str = "", weight: int = 1, **fields: Any) -> str:
    job_id = new_job_id()
    terms = Terms(owner=owner, weight=weight)
    entry = queue.enqueue(jobs, job_id, job_request(**fields), TTL_S, terms=terms)
    assert entry is not None
    assert entry.standing.position == jobs.get_job_ids().index(job_id) + 1
    assert queue.standing(jobs, job_id) == entry.standing
    return job_id


def owners(jobs: Queue) -> list[str]:
    """Of the jobs that wait, first to last."""
    keys = [Job.key_for(job_id) for job_id in jobs.get_job_ids()]
    return [(jobs.connection.hget(key, OWNER_FIELD) or b"").decode() for key in keys]


def test_a_keys_thousand_jobs_delay_anothers_single_one_by_one_job(jobs: Queue) -> None:
    for _ in range(1000):
        ask(jobs, "many", steps=4)
    single = ask(jobs, "one", steps=150)
    steps = 0
    while (held := taken(jobs)).job_id != single:
        steps += queue.job_request(held.job.kwargs).steps
    assert steps == 4


def test_whoever_asks_again_and_again_waits_for_one_job_each_time(jobs: Queue) -> None:
    for _ in range(50):
        ask(jobs, "many")
    for _ in range(10):
        single = ask(jobs, "one")
        assert taken(jobs).job_id != single
        assert taken(jobs).job_id == single


def test_many_keys_take_turns(jobs: Queue) -> None:
    names = [f"key-{n}" for n in range(20)]
    for name in names:
        for _ in range(3):
            ask(jobs, name)
    found = owners(jobs)
    # The first key's first job stood there before the others came.
    assert [found.count(name) for name in names] == [3] * 20
    for last in range(1, 61):
        counts = Counter(found[:last])
        assert max(counts.values()) - min(counts.get(name, 0) for name in names) <= 2


def test_turns_are_shared_by_weight(jobs: Queue) -> None:
    for _ in range(40):
        ask(jobs, "three", weight=3)
        ask(jobs, "one")
    counts = Counter(owners(jobs)[:40])
    assert abs(counts["three"] - 30) <= 1


def test_turns_are_shared_by_work_and_not_by_jobs(jobs: Queue) -> None:
    """In row-steps of one size: a key of large jobs gets fewer of them."""
    for _ in range(30):
        ask(jobs, "large", steps=30, width=128, height=128)
        ask(jobs, "small", steps=30)
    work: Counter[str] = Counter()
    for owner in owners(jobs)[:25]:
        work[owner] += 4 if owner == "large" else 1
    assert abs(work["large"] - work["small"]) <= 8


def test_without_keys_the_first_to_come_is_the_first_to_go(jobs: Queue) -> None:
    ids = [ask(jobs, steps=steps) for steps in (50, 1, 30, 2)]
    assert jobs.get_job_ids() == ids


def test_nothing_is_remembered_of_a_key_once_nobody_waits(connection: Redis, jobs: Queue) -> None:
    for _ in range(10):
        ask(jobs, "busy")
        commit(taken(jobs), job_result("a"))
    ask(jobs, "busy")
    ask(jobs, "idle")
    ask(jobs, "busy")
    assert owners(jobs) == ["busy", "idle", "busy"]


def test_priorities_go_before_each_other(jobs: Queue) -> None:
    ids = {(name, n): ask(jobs, priority=name) for n in range(3) for name in reversed(PRIORITIES)}
    expected = [ids[name, n] for name in PRIORITIES for n in range(3)]
    assert jobs.get_job_ids() == expected
    assert [taken(jobs).job_id for _ in ids] == expected


def test_keys_take_turns_within_each_priority(jobs: Queue) -> None:
    for priority in reversed(PRIORITIES):
        for owner in ("one", "other"):
            for _ in range(2):
                ask(jobs, owner, priority=priority)
    assert owners(jobs) == ["one", "other"] * 6


@pytest.mark.parametrize("priority", PRIORITIES)
def test_what_comes_back_stands_before_all_of_its_priority(jobs: Queue, priority: str) -> None:
    back = [ask(jobs, "one", priority=priority) for _ in range(3)]
    held = [taken(jobs) for _ in back]
    waiting = [ask(jobs, owner, priority=each) for each in PRIORITIES for owner in ("one", "two")]
    requeue(held)
    first = 2 * PRIORITIES.index(priority)
    assert jobs.get_job_ids() == [*waiting[:first], *back, *waiting[first:]]
    newcomer = ask(jobs, "three", priority=priority)
    assert jobs.get_job_ids().index(newcomer) > first + 2


@pytest.mark.parametrize("priority", PRIORITIES)
def test_what_a_dead_worker_held_comes_back_before_all_of_its_priority(
    jobs: Queue, priority: str
) -> None:
    back = [ask(jobs, "one", priority=priority) for _ in range(2)]
    held = [taken(jobs) for _ in back]
    waiting = [ask(jobs, "one", priority=each) for each in PRIORITIES]
    run_out(jobs, *held)
    assert sorted(sweep(jobs)) == sorted(back)
    first = PRIORITIES.index(priority)
    found = jobs.get_job_ids()
    assert sorted(found[first : first + 2]) == sorted(back)
    assert found[:first] + found[first + 2 :] == waiting


def test_a_job_that_was_popped_and_never_claimed_comes_back_behind_higher_ones(
    connection: Redis, jobs: Queue
) -> None:
    low, other = ask(jobs, priority="low"), ask(jobs, priority="low")
    connection.lmove(jobs.key, jobs.intermediate_queue_key, "LEFT", "RIGHT")
    high = ask(jobs, priority="high")
    connection.zadd(f"darkroom:popped:{jobs.name}", {low: 1})
    assert sweep(jobs) == [low]
    assert jobs.get_job_ids() == [high, low, other]


def test_what_rqs_tools_do_to_the_list_loses_nothing(connection: Redis, jobs: Queue) -> None:
    """The sorted set does not hear of it, and is put right on the way."""
    gone = [ask(jobs, "one") for _ in range(3)]
    rq_job(connection, gone[0]).delete(remove_from_queue=True)
    kept = ask(jobs, "two")
    assert jobs.get_job_ids() == [gone[1], kept, gone[2]]
    jobs.empty()
    fresh = ask(jobs, "two"), ask(jobs, priority="high")
    assert jobs.get_job_ids() == [fresh[1], fresh[0]]
    assert connection.zcard(order_key(jobs.name)) == 2
    stranger = new_job_id()
    jobs.push_job_id(stranger, at_front=True)
    last = ask(jobs, "two")
    assert jobs.get_job_ids() == [stranger, fresh[1], fresh[0], last]


def test_a_lost_order_loses_no_job(connection: Redis, jobs: Queue) -> None:
    ids = [ask(jobs, "one") for _ in range(3)]
    connection.delete(order_key(jobs.name))
    ids.append(ask(jobs, "two"))
    assert jobs.get_job_ids() == ids
    assert [taken(jobs).job_id for _ in ids] == ids


class Disorder:
    """Everything that may happen to a queue, in any order."""

    def __init__(self, jobs: Queue, seed: int):
        self.jobs, self.connection = jobs, jobs.connection
        self.random = random.Random(seed)
        self.held: list[Claim] = []
        self.open: set[str] = set()

    def act(self) -> None:
        acts = (self.ask, self.ask, self.ask, self.take, self.give_back, self.die, self.cancel)
        self.random.choice((*acts, self.end, self.pop))()

    def ask(self) -> None:
        owner, priority = self.random.choice("abcd"), self.random.choice(PRIORITIES)
        weight, steps = self.random.randint(1, 3), self.random.randint(1, 50)
        self.open.add(ask(self.jobs, owner, weight, priority=priority, steps=steps))

    def take(self) -> None:
        held = take(self.jobs, WORKER)
        self.held += [held] if held is not None else []

    def give_back(self) -> None:
        count = self.random.randint(0, 3)
        requeue(self.held[:count])
        del self.held[:count]

    def die(self) -> None:
        if self.held:
            self.connection.hdel(self.held[0].job.key, STRIKES_FIELD, DEATHS_FIELD)
            run_out(self.jobs, self.held[0])
            unlock(self.jobs)
            assert self.held.pop(0).job_id in sweep(self.jobs)

    def pop(self) -> None:
        jobs = self.jobs
        popped = self.connection.lmove(jobs.key, jobs.intermediate_queue_key, "LEFT", "RIGHT")
        if popped is not None:
            self.connection.zadd(f"darkroom:popped:{jobs.name}", {popped: 1})
            unlock(jobs)
            assert popped.decode() in sweep(jobs)

    def cancel(self) -> None:
        waiting = self.jobs.get_job_ids()
        if waiting:
            job_id = self.random.choice(waiting)
            cancel(self.connection, job_id)
            self.open.remove(job_id)

    def end(self) -> None:
        if self.held:
            held = self.held.pop()
            commit(held, job_result("a"))
            self.open.remove(held.job_id)

    def check(self) -> None:
        waiting = self.jobs.get_job_ids()
        assert sorted([*waiting, *started(self.jobs)]) == sorted(self.open)
        ordered = [
            member.decode() for member in self.connection.zrange(order_key(self.jobs.name), 0, -1)
        ]
        assert ordered == waiting
        keys = [Job.key_for(job_id) for job_id in waiting]
        priorities = [(self.connection.hget(key, "priority") or b"").decode() for key in keys]
        assert [name for name, _ in groupby(priorities)] == [
            name for name in PRIORITIES if name in priorities
        ]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_each_job_stands_in_its_place_once(jobs: Queue, seed: int) -> None:
    disorder = Disorder(jobs, seed)
    for _ in range(200):
        disorder.act()
        disorder.check()


def test_the_record_tells_the_priority(connection: Redis, jobs: Queue) -> None:
    record = read_job(connection, ask(jobs, priority="low"))
    assert record is not None
    assert (record.request.priority, record.state) == ("low", JobState.QUEUED)
