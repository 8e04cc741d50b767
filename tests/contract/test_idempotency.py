import pytest
from redis import Redis
from rq import Queue

from contract import identity, queue
from contract.errors import IdempotencyKeyReused
from contract.idempotency import KEPT_S, Ticket, find
from contract.request import GenerateRequest
from tests.contract.samples import TTL_S, job_request


def ticket(key: str = "key", **fields: object) -> Ticket:
    return Ticket.of(key, GenerateRequest.model_validate({"prompt": "a"} | fields))


def test_a_request_is_the_same_however_it_is_written() -> None:
    assert ticket() == ticket(prompt=" a ", steps=30, guidance=7.5, negative_prompt="", seed=None)
    assert ticket(guidance=7) == ticket(guidance=7.0)


@pytest.mark.parametrize(
    "field", [{"prompt": "b"}, {"seed": 1}, {"steps": 29}, {"model": "tiny"}, {"width": 64}]
)
def test_another_request_is_another(field: dict[str, object]) -> None:
    assert ticket(**field) != ticket()


def test_the_key_stands_with_the_job_and_expires(connection: Redis, jobs: Queue) -> None:
    job_id = identity.new_job_id()
    queue.enqueue(jobs, job_id, job_request(), TTL_S, ticket=ticket())
    assert find(connection, ticket()) == job_id
    assert find(connection, ticket("other")) is None
    with pytest.raises(IdempotencyKeyReused) as caught:
        find(connection, ticket(prompt="b"))
    assert caught.value.field == "Idempotency-Key"
    (key,) = connection.keys("darkroom:idempotency:*")
    assert KEPT_S - 60 < connection.ttl(key) <= KEPT_S
    assert b"key" not in key.removeprefix(b"darkroom:idempotency:")


def test_each_caller_has_keys_of_its_own(connection: Redis, jobs: Queue) -> None:
    request = GenerateRequest(prompt="a")
    tickets = [Ticket.of("key", request, owner) for owner in ("", "one", "other")]
    ids = [identity.new_job_id() for _ in tickets]
    for job_id, each in zip(ids, tickets, strict=True):
        assert queue.enqueue(jobs, job_id, job_request(), TTL_S, ticket=each) is not None
    assert [find(connection, each) for each in tickets] == ids


def test_a_key_makes_one_job(jobs: Queue) -> None:
    first, second = identity.new_job_id(), identity.new_job_id()
    assert queue.enqueue(jobs, first, job_request(), TTL_S, ticket=ticket()) is not None
    assert queue.enqueue(jobs, second, job_request(), TTL_S, ticket=ticket()) is None
    assert jobs.get_job_ids() == [first]


def test_a_key_that_makes_another_job_at_the_same_instant_makes_one(
    connection: Redis, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other comes between the look at the key and the end of the transaction."""
    first, second = identity.new_job_id(), identity.new_job_id()
    judge = queue.judge

    def late(*args: object, **kwargs: object) -> object:
        monkeypatch.undo()
        assert queue.enqueue(jobs, first, job_request(), TTL_S, ticket=ticket()) is not None
        return judge(*args, **kwargs)

    monkeypatch.setattr(queue, "judge", late)
    assert queue.enqueue(jobs, second, job_request(), TTL_S, ticket=ticket()) is None
    assert jobs.get_job_ids() == [first]
    assert connection.exists(f"rq:job:{second}") == 0
