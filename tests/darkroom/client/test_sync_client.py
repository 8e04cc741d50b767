import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from redis import Redis
from rq import Queue

import darkroom
from app.settings import AppSettings
from contract.claims import take
from contract.endings import commit, fail
from contract.errors import NotFinite
from contract.pictures.redis_store import RedisStore
from contract.progress import JobProgress, write_progress
from darkroom import Client, Retries
from tests.address import Address
from tests.app.conftest import PNG, develop
from tests.contract.samples import TTL_S, job_result
from tests.darkroom.client.conftest import url_of
from tests.darkroom.conftest import Api
from tests.waiting import until

WORKER = "gpu-1"


def test_a_picture_from_prompt_to_file(client: Client, jobs: Queue, tmp_path: Path) -> None:
    job = client.generate("a red circle", steps=5, seed=None, tags={"order": "7"})
    assert (job.state, job.queue_position, job.request.steps) == ("queued", 1, 5)
    develop(jobs)
    done = client.wait(job)
    assert (done.state, done.tags, client.job(job.id)) == ("succeeded", {"order": "7"}, done)
    assert client.pictures(done) == [PNG]
    assert client.save(job, tmp_path / "circle.png") == [tmp_path / "circle.png"]
    assert (tmp_path / "circle.png").read_bytes() == PNG


def test_several_pictures_get_numbered_names(client: Client, jobs: Queue, tmp_path: Path) -> None:
    job = client.generate("a", images=2)
    develop(jobs, b"first", b"second")
    paths = client.save(job, tmp_path / "a.png")
    assert [path.name for path in paths] == ["a-0.png", "a-1.png"]
    assert [path.read_bytes() for path in paths] == [b"first", b"second"]


def test_a_place_to_save_that_cannot_be_is_told_before_the_wait(
    client: Client, jobs: Queue, tmp_path: Path
) -> None:
    with pytest.raises(darkroom.CannotSave, match="there is no directory"):
        client.save(client.generate("a"), tmp_path / "missing" / "a.png")


def test_no_picture_is_saved_under_the_name_of_another_format(
    client: Client, jobs: Queue, tmp_path: Path
) -> None:
    job = client.generate("a")
    develop(jobs)
    with pytest.raises(darkroom.CannotSave, match=r"x\.JPG: the picture is a png.*format='jpeg'"):
        client.save(job, tmp_path / "x.JPG")
    assert list(tmp_path.iterdir()) == []
    assert client.save(job, tmp_path / "x") == [tmp_path / "x"]


def test_what_is_refused_names_the_field(client: Client, jobs: Queue) -> None:
    with pytest.raises(darkroom.InvalidRequest) as refusal:
        client.generate("a", steps=999, guidance=99.0)
    assert (refusal.value.code, refusal.value.status) == ("invalid_request", 422)
    assert {fault.field for fault in refusal.value.faults} == {"steps", "guidance"}
    assert str(refusal.value).startswith("invalid_request: guidance: Input should be")


def test_a_job_that_failed_raises_its_code(client: Client, jobs: Queue) -> None:
    job = client.generate("a")
    held = take(jobs, WORKER)
    assert held is not None
    fail(held, NotFinite("It came out as NaN."))
    with pytest.raises(darkroom.JobFailed, match=r"not_finite: It came out as NaN\.") as failure:
        client.wait(job)
    assert (failure.value.code, failure.value.job.state) == ("not_finite", "failed")
    with pytest.raises(darkroom.JobFailed):
        client.pictures(failure.value.job)


def test_a_wait_ends_in_time_and_leaves_the_job_alone(client: Client, jobs: Queue) -> None:
    job = client.generate("a")
    with pytest.raises(darkroom.WaitTimeout, match=r"is queued after 0\.2 s"):
        client.wait(job, timeout_s=0.2)
    assert client.job(job).state == "queued"


def test_a_cancelled_job_is_not_waited_for(client: Client, jobs: Queue) -> None:
    job = client.generate("a")
    assert client.cancel(job).state == "cancelled"
    with pytest.raises(darkroom.JobCancelled):
        client.wait(job)
    with pytest.raises(darkroom.WrongState) as refusal:
        client.cancel(job)
    assert refusal.value.code == "job_ended"


def test_a_retry_is_a_new_job_with_the_same_seed_or_another(client: Client, jobs: Queue) -> None:
    job = client.generate("a", seed=5)
    same, other = client.retry(job), client.retry(job.id, seed=9)
    assert len({job.id, same.id, other.id}) == 3
    assert (same.request.seed, other.request.seed) == (5, 9)


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_deleted_job_is_gone(client: Client, jobs: Queue, has_ended: bool) -> None:
    job = client.generate("a")
    if has_ended:
        develop(jobs)
    client.delete(job)
    with pytest.raises(darkroom.NotThere) as refusal:
        client.delete(job)
    assert (refusal.value.code, refusal.value.status) == ("job_deleted", 410)


def test_all_jobs_are_listed_page_by_page(
    client: Client, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.client.plans.Listing.MOST_ON_A_PAGE", 2)
    made = [client.generate(f"number {n}").id for n in range(5)]
    client.cancel(made[0])
    newest = made[::-1]
    assert [job.id for job in client.jobs()] == newest
    assert [job.id for job in client.jobs(limit=3)] == newest[:3]
    assert [job.id for job in client.jobs(state="cancelled")] == newest[-1:]
    before = client.job(made[0]).created_at - timedelta(minutes=1)
    found = client.jobs(state=["queued", "running"], created_after=before, model="tiny")
    assert [job.id for job in found] == newest[:-1]
    assert list(client.jobs(created_before=before)) == []
    assert list(client.jobs(limit=0)) == []


def test_the_fleet_is_told(client: Client, jobs: Queue) -> None:
    client.generate("a")
    (model,), (worker,) = client.models(), client.workers()
    assert (model.id, model.live_workers, model.samplers["lcm"].max_steps) == ("tiny", 1, 50)
    assert (worker.name, worker.model) == ("gpu-1", "tiny")
    assert [model.queued for model in client.models()] == [1]


def test_a_call_that_gets_no_answer_is_sent_again_and_makes_one_job(
    bad_line_client: Client, line: Address, jobs: Queue
) -> None:
    line.loses_answers = True
    with ThreadPoolExecutor(1) as thread:
        job = thread.submit(bad_line_client.generate, "a")
        until(lambda: jobs.count == 1)
        line.loses_answers = False
        assert jobs.job_ids == [job.result().id]


def test_a_cancellation_and_a_deletion_whose_answers_are_lost_are_done(
    bad_line_client: Client, client: Client, line: Address, jobs: Queue
) -> None:
    kept, gone = client.generate("a"), client.generate("b")
    line.loses_answers = True
    with ThreadPoolExecutor(2) as threads:
        cancelled = threads.submit(bad_line_client.cancel, kept)
        deleted = threads.submit(bad_line_client.delete, gone)
        until(lambda: client.job(kept).state == "cancelled")
        until(lambda: [job.id for job in client.jobs()] == [kept.id])
        line.loses_answers = False
        assert cancelled.result().state == "cancelled"
        assert deleted.result() is None


def test_calls_of_their_own_are_jobs_of_their_own_unless_their_key_is_one(
    client: Client, jobs: Queue
) -> None:
    assert client.generate("a").id != client.generate("a").id
    one = client.generate("b", idempotency_key="order-7")
    assert client.generate("b", idempotency_key="order-7").id == one.id


def test_what_the_service_asks_for_is_waited(redis_url: str, jobs: Queue) -> None:
    """Two seconds of work wait where one may: 429, and `Retry-After` says 1 s."""
    api = Api(AppSettings(redis_url=redis_url, max_queue_s=1.0))
    with Client(api.url) as client, Client(api.url, retries=Retries(attempts=1)) as impatient:
        first = client.generate("a", steps=100)
        with pytest.raises(darkroom.Unavailable) as refusal:
            impatient.generate("b")
        assert (refusal.value.status, refusal.value.code) == (429, "too_much_waiting")
        began = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            made = thread.submit(client.generate, "b")
            until(lambda: 'darkroom_http_errors_total{code="too_much_waiting"} 2.0' in metrics(api))
            client.cancel(first)
            assert made.result().state == "queued"
        assert time.monotonic() - began >= (refusal.value.retry_after_s or 0) >= 1
    api.stop()


def metrics(api: Api) -> str:
    return httpx.get(f"{api.url}/metrics").text


def test_a_restart_of_the_service_is_waited_out(api: Api, client: Client, jobs: Queue) -> None:
    job = client.generate("a")
    with ThreadPoolExecutor(2) as threads:
        waited = threads.submit(client.wait, job)
        followed = threads.submit(list, client.events(job))
        until(lambda: job.id in api.services.endings._waiting)
        until(lambda: job.id in api.services.newsroom._topics)
        api.stop()
        api.start()
        develop(jobs)
        assert waited.result().state == "succeeded"
        assert isinstance(followed.result()[-1], darkroom.Ended)


def test_events_go_on_where_the_line_broke(
    bad_line_client: Client, line: Address, jobs: Queue, connection: Redis
) -> None:
    job = bad_line_client.generate("a \u2028 b", steps=8)
    held = take(jobs, WORKER)
    assert held is not None
    told = []
    for event in bad_line_client.events(job):
        told.append(event)
        line.hang_up()
        step = sum(isinstance(each, darkroom.Progressed) for each in told) + 1
        if isinstance(event, darkroom.Started | darkroom.Progressed) and step < 4:
            progress = {(job.id, held.execution.id): JobProgress(step / 8, step)}
            write_progress(connection, progress)
        elif step == 4:
            commit(held, job_result(RedisStore(connection, TTL_S).put(PNG)))
    kinds = [type(event).__name__ for event in told]
    assert kinds == ["Queued", "Started", *3 * ["Progressed"], "Ended"]
    assert len({event.id for event in told}) == len(told)
    end = told[-1]
    assert isinstance(end, darkroom.Ended)
    assert end.job == bad_line_client.job(job)
    assert list(bad_line_client.events(job, last_event_id=told[-2].id)) == [end]
    assert list(bad_line_client.events(job, last_event_id=end.id)) == []


def test_a_service_that_stays_away_is_one_sentence(line: Address, api: Api) -> None:
    line.lead_to(1)
    few = Retries(attempts=3, first_s=0.01)
    with Client(url_of(line), retries=few) as client:
        for ask in (lambda: client.generate("a"), lambda: list(client.events("b"))):
            with pytest.raises(darkroom.Unreachable, match=r"127.0.0.1:\d+ cannot be reached: .+"):
                ask()


def test_what_is_no_darkroom_is_told(api: Api, client: Client) -> None:
    for path in ("/v1", "/nowhere"):
        with Client(api.url + path) as lost, pytest.raises(darkroom.NotThere, match="without /v1"):
            lost.generate("a")
    with pytest.raises(darkroom.NotThere, match="not_found"):
        list(client.events("../models"))
