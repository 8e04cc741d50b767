"""What may wait is judged in the transaction that lets it."""

import pytest
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import Redis
from rq import Queue

from contract import queue
from contract.acceptance import Entry, Terms
from contract.claims import take
from contract.endings import cancel
from contract.errors import OverQuota, QueueFull, RateLimited, TooManyQueued, TooMuchWaiting
from contract.idempotency import Ticket
from contract.identity import new_job_id
from contract.quotas import WINDOW_S, Quota
from contract.rates import window_keys
from contract.request import GenerateRequest
from tests.contract.records import WORKER, rq_job, snapshot
from tests.contract.samples import TTL_S, job_request

OWNER = "team"


def enqueue(jobs: Queue, terms: Terms, ticket: Ticket | None = None) -> Entry | None:
    return queue.enqueue(jobs, new_job_id(), job_request(), TTL_S, terms=terms, ticket=ticket)


def entered(jobs: Queue, terms: Terms) -> Entry:
    entry = enqueue(jobs, terms)
    assert entry is not None
    return entry


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        (Terms(most_waiting=1), QueueFull),
        (Terms(most_waiting_s=5.0, row_steps_per_s=12.0), TooMuchWaiting),
        (Terms(owner=OWNER, queued=1), TooManyQueued),
        (Terms(owner=OWNER, per_minute=1), RateLimited),
    ],
)
def test_a_job_that_is_refused_leaves_nothing_behind(
    connection: Redis, jobs: Queue, terms: Terms, error: type[Exception]
) -> None:
    ticket = Ticket.of("key", GenerateRequest(prompt="a"))
    entered(jobs, terms)
    before = snapshot(connection)
    with pytest.raises(error):
        enqueue(jobs, terms, ticket)
    assert snapshot(connection) == before


def test_another_keys_jobs_do_not_count(jobs: Queue) -> None:
    for owner in ("one", "other"):
        entered(jobs, Terms(owner=owner, queued=1, per_minute=1))


@pytest.mark.parametrize("by_stock_worker", [False, True])
def test_a_job_that_is_taken_makes_room_for_another(jobs: Queue, by_stock_worker: bool) -> None:
    """A stock worker tells nobody, so those that seem too many are looked at."""
    terms = Terms(owner=OWNER, queued=1)
    assert entered(jobs, terms).quotas.queued == Quota(1, 0)
    if by_stock_worker:
        job = rq_job(jobs.connection, jobs.get_job_ids()[0])
        job.set_status("started")
        jobs.connection.lpop(jobs.key)
    else:
        assert take(jobs, WORKER) is not None
    entered(jobs, terms)
    cancel(jobs.connection, jobs.get_job_ids()[0])
    entered(jobs, terms)
    with pytest.raises(TooManyQueued) as caught:
        entered(jobs, terms)
    assert caught.value.quotas.queued == Quota(1, 0)


def test_the_window_is_that_of_limits(jobs: Queue, redis_url: str) -> None:
    """Ours counts what the library counts, in the same keys."""
    terms = Terms(owner=OWNER, per_minute=3)
    left = [entered(jobs, terms).quotas.per_minute for _ in range(3)]
    assert [quota and quota.remaining for quota in left] == [2, 1, 0]
    with pytest.raises(RateLimited) as caught:
        entered(jobs, terms)
    assert 0 < caught.value.retry_after_s <= WINDOW_S
    storage = RedisStorage(redis_url)
    counted = storage.lua_sliding_window(list(window_keys(OWNER)), [WINDOW_S])
    assert int(counted[2]) == 3
    item = RateLimitItemPerMinute(3)
    limiter = SlidingWindowCounterRateLimiter(storage)
    storage.get_sliding_window = lambda key, expiry: (  # type: ignore[method-assign]
        0,
        0.0,
        int(counted[2]),
        int(counted[3]) / 1000,
    )
    assert limiter.get_window_stats(item).remaining == 0
    assert not limiter.test(item)
    storage.storage.close()


def test_a_ticket_and_a_limit_are_spent_once(connection: Redis, jobs: Queue) -> None:
    ticket = Ticket.of("key", GenerateRequest(prompt="a"), OWNER)
    terms = Terms(owner=OWNER, queued=2, per_minute=2)
    assert enqueue(jobs, terms, ticket) is not None
    before = snapshot(connection)
    assert enqueue(jobs, terms, ticket) is None
    assert snapshot(connection) == before
    entry = entered(jobs, terms)
    assert entry.quotas.per_minute is not None
    assert entry.quotas.per_minute.remaining == 0
    with pytest.raises(OverQuota):
        enqueue(jobs, terms)


def test_to_accept_a_job_is_one_round_trip(jobs: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(jobs, Terms())  # the first one asks for the server's version
    sent: list[object] = []
    connection = jobs.connection.connection_pool.get_connection()
    send = type(connection).send_packed_command

    def noted(self: object, command: object, *args: object, **options: object) -> object:
        sent.append(command)
        return send(self, command, *args, **options)

    jobs.connection.connection_pool.release(connection)
    monkeypatch.setattr(type(connection), "send_packed_command", noted)
    ticket = Ticket.of("key", GenerateRequest(prompt="a"), OWNER)
    enqueue(jobs, Terms(OWNER, 10, 10, 10, 10.0, 10.0), ticket)
    assert len(sent) == 1
