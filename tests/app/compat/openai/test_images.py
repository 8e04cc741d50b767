"""Pictures by OpenAI's SDK: how a wait for them may end."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import openai
import pytest
from openai import OpenAI
from redis import Redis
from rq import Queue

from app.compat.openai import retries
from app.compat.openai.body import ImagesBody
from app.main import ApiServer
from contract import endings, errors, left_jobs
from contract.claims import take
from contract.endings import fail
from contract.idempotency import digest_of
from contract.job import JobState
from tests.app.compat.openai.conftest import Caller, all_jobs, sdk_for, the_job
from tests.app.conftest import PNG, WORKER, develop
from tests.contract.samples import job_result
from tests.waiting import job_in, until

HANGS_UP_S = 0.3


def test_the_reply_names_its_job(caller: Caller, jobs: Queue) -> None:
    reply = caller.image(user="u")
    until(lambda: develop(jobs))
    found = reply.result()
    job = the_job(jobs.connection)
    assert found._request_id == found.model_dump()["id"] == job.id
    assert found.safety_identifier == job.tags["safety_identifier"] == "u"
    assert (found.size, found.output_format, found.quality) == ("64x64", "png", None)


def test_a_job_that_fails_is_an_error_that_the_sdk_does_not_send_again(
    url: str, jobs: Queue, aside: ThreadPoolExecutor
) -> None:
    with sdk_for(url, max_retries=2) as patient:
        call = Caller(patient, aside).image()
        fail(until(lambda: take(jobs, WORKER)), errors.NotFinite("It became NaN."))
        with pytest.raises(openai.InternalServerError, match="It became NaN") as caught:
            call.result()
    assert (caught.value.code, caught.value.type) == ("not_finite", "server_error")
    assert caught.value.request_id == the_job(jobs.connection).id


def test_a_job_that_somebody_cancels_is_a_conflict(
    url: str, jobs: Queue, aside: ThreadPoolExecutor
) -> None:
    with sdk_for(url, max_retries=2) as patient:
        call = Caller(patient, aside).image()
        endings.cancel(jobs.connection, the_job(jobs.connection).id)
        with pytest.raises(openai.ConflictError) as caught:
            call.result()
    assert caught.value.code == "job_ended"
    assert len(all_jobs(jobs.connection)) == 1


def test_a_picture_that_is_gone_is_an_error(caller: Caller, jobs: Queue) -> None:
    call = caller.image()
    held = until(lambda: take(jobs, WORKER))
    endings.commit(held, job_result("0" * 64))
    with pytest.raises(openai.APIStatusError) as caught:
        call.result()
    assert (caught.value.status_code, caught.value.code) == (410, "picture_expired")


def test_where_no_model_is_known_the_sdk_is_asked_to_come_again(
    sdk: OpenAI, connection: Redis
) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        sdk.images.generate(prompt="a")
    assert (caught.value.status_code, caught.value.code) == (503, "no_model")
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 120


@pytest.mark.usefixtures("model")
def test_errors_of_paths_and_methods_have_the_same_form(sdk: OpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.images.edit(image=PNG, prompt="a")
    assert caught.value.type == "invalid_request_error"
    answer = httpx.get(f"{url}/v1/images/generations")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def test_a_client_that_hangs_up_cancels_its_job(
    url: str, jobs: Queue, aside: ThreadPoolExecutor
) -> None:
    ask, there = {"prompt": "a"}, f"{url}/v1/images/generations"
    with httpx.stream("POST", there, json=ask | {"stream": True}):
        waiting = the_job(jobs.connection)
    job_in(jobs.connection, waiting.id, JobState.CANCELLED)
    call = aside.submit(httpx.post, there, json=ask, timeout=HANGS_UP_S)
    held = until(lambda: take(jobs, WORKER))
    with pytest.raises(httpx.ReadTimeout):
        call.result()
    job_in(jobs.connection, held.job_id, JobState.CANCELLED)


def test_one_who_has_an_idempotency_key_comes_back_for_the_job(url: str, jobs: Queue) -> None:
    headers = {"Idempotency-Key": "one"}
    ask = partial(httpx.post, f"{url}/v1/images/generations", json={"prompt": "a"})
    with pytest.raises(httpx.ReadTimeout):
        ask(headers=headers, timeout=HANGS_UP_S)
    with pytest.raises(httpx.ReadTimeout):
        ask(timeout=HANGS_UP_S)
    other, kept = all_jobs(jobs.connection)
    job_in(jobs.connection, other.id, JobState.CANCELLED)
    develop(jobs)
    answer = ask(headers=headers)
    assert (answer.json()["id"], answer.headers["idempotency-replayed"]) == (kept.id, "true")


def test_an_sdk_that_waited_too_long_gets_the_same_job_with_its_next_try(
    url: str, jobs: Queue, aside: ThreadPoolExecutor
) -> None:
    def lie() -> bool:
        return bool(jobs.connection.keys("darkroom:left:*"))

    with sdk_for(url, timeout=2 * HANGS_UP_S, max_retries=2) as patient:
        call = Caller(patient, aside).image()
        until(lie)
        until(lambda: not lie())
        develop(jobs)
        assert call.result().model_dump()["id"] == the_job(jobs.connection).id


def test_a_job_whose_sdk_does_not_come_back_is_cancelled(
    url: str, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "GRACE_S", 0.1)
    with sdk_for(url, timeout=HANGS_UP_S) as hasty, pytest.raises(openai.APITimeoutError):
        hasty.images.generate(prompt="a")
    job_in(jobs.connection, the_job(jobs.connection).id, JobState.CANCELLED)


def test_a_process_that_stops_leaves_the_job_to_the_next_try(
    caller: Caller, jobs: Queue, server: ApiServer
) -> None:
    call = caller.image()
    job = the_job(jobs.connection)
    server.config.app.state.services.endings.release()  # type: ignore[union-attr]
    with pytest.raises(openai.InternalServerError) as caught:
        call.result()
    assert (caught.value.status_code, caught.value.code) == (503, "wait_interrupted")
    asked = digest_of(ImagesBody(prompt="a").asked(None))
    assert left_jobs.take(jobs.connection, "", asked) == job.id
