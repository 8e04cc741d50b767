from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from contract import identity, queue
from tests.contract.conftest import Ask
from tests.contract.samples import TTL_S, job_request


def test_place_in_the_queue_counts_from_one(jobs: Queue) -> None:
    ids = [identity.new_job_id() for _ in range(3)]
    entries = [queue.enqueue(jobs, job_id, job_request(), TTL_S) for job_id in ids]
    assert [entry.standing.position for entry in entries if entry is not None] == [1, 2, 3]
    found = [queue.standing(jobs, job_id) for job_id in ids]
    assert [place.position for place in found if place is not None] == [1, 2, 3]
    assert queue.standing(jobs, identity.new_job_id()) is None
    assert queue.depth(jobs) == 3


def test_many_places_are_found_with_one_look(jobs: Queue, ask: Ask) -> None:
    ids = [ask(steps=n) for n in range(1, 6)]
    wanted = [ids[1], ids[4], identity.new_job_id()]
    found = queue.standings(jobs, wanted)
    assert found == {job_id: queue.standing(jobs, job_id) for job_id in (ids[1], ids[4])}
    assert found[ids[4]].position == 5


def test_rq_finds_the_job_with_a_function_by_name(connection: Redis, jobs: Queue, ask: Ask) -> None:
    job_id = ask(prompt="secret")
    job = Job.fetch(job_id, connection=connection, serializer=JSONSerializer)
    assert job.func_name == queue.TASK
    assert job.origin == jobs.name == "darkroom-tiny"
    assert queue.job_request(job.kwargs) == job_request(prompt="secret")
    assert "secret" not in str(job.description)
    assert (job.result_ttl, job.failure_ttl) == (TTL_S, TTL_S)


def test_rq_knows_the_time_that_the_id_tells(connection: Redis, ask: Ask) -> None:
    job_id = ask()
    job = Job.fetch(job_id, connection=connection, serializer=JSONSerializer)
    assert job.created_at is not None
    assert job.created_at.timestamp() == identity.created_at(job_id)
