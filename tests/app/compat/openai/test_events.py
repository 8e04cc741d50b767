"""Streams of OpenAI's SDK."""

from typing import Any

import openai
import pytest
from redis import Redis
from rq import Queue

from app.main import ApiServer
from app.routes import events
from contract import endings, errors
from contract.claims import take
from contract.previews import JobPreview, write_preview
from contract.transactions import Claim
from tests.app.compat.openai.conftest import Caller, the_job
from tests.app.conftest import WORKER, develop
from tests.contract.samples import job_result
from tests.waiting import until

PARTIAL, COMPLETED = "image_generation.partial_image", "image_generation.completed"


def show(claim: Claim, image: int = 0) -> None:
    preview = JobPreview(image=image, index=0, step=3, width=32, height=16, content=b"RIFF")
    write_preview(claim.queue.connection, claim.job_id, claim.execution.id, preview)


def test_each_picture_is_shown_and_then_completed(
    caller: Caller, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    told: list[Any] = []
    done = caller.stream(told, n=2, partial_images=1, quality="hd", user="u")
    held = until(lambda: take(jobs, WORKER))
    show(held, 0)
    show(held, 1)
    until(lambda: len(told) == 2)
    endings.commit(held, stored(jobs.connection))
    done.result()
    assert [(each.type, each.model_dump()["image"]) for each in told] == [
        (PARTIAL, 0), (PARTIAL, 1), (COMPLETED, 0), (COMPLETED, 1)
    ]  # fmt: skip
    first, last = told[0], told[-1]
    assert (first.partial_image_index, first.size, first.output_format) == (0, "32x16", "webp")
    assert (last.quality, last.size, last.background) == ("high", "64x64", "opaque")
    said = last.model_dump()
    assert (said["seed"], said["cached"], said["id"]) == (8, False, held.job_id)
    assert last.safety_identifier == "u"
    assert last.usage.total_tokens == 0
    assert said["warnings"] == ["The prompt is longer than what the model reads."]


def stored(connection: Redis) -> Any:
    from contract.pictures.redis_store import RedisStore
    from tests.contract.samples import TTL_S

    store = RedisStore(connection, TTL_S)
    return job_result(store.put(b"one"), store.put(b"two"))


def test_a_job_that_fails_in_mid_stream_is_an_error(caller: Caller, jobs: Queue) -> None:
    told: list[Any] = []
    done = caller.stream(told, partial_images=1)
    held = until(lambda: take(jobs, WORKER))
    show(held)
    until(lambda: told)
    endings.fail(held, errors.OutOfMemory("The device ran out of memory."))
    with pytest.raises(openai.APIError, match="ran out of memory") as caught:
        done.result()
    assert (caught.value.code, caught.value.type) == ("out_of_memory", "server_error")


def test_a_job_that_is_cancelled_in_mid_stream_is_an_error(caller: Caller, jobs: Queue) -> None:
    done = caller.stream([])
    endings.cancel(jobs.connection, the_job(jobs.connection).id)
    with pytest.raises(openai.APIError, match="was cancelled") as caught:
        done.result()
    assert caught.value.code == "job_ended"


def test_a_picture_that_is_gone_ends_the_stream_with_an_error(caller: Caller, jobs: Queue) -> None:
    done = caller.stream([])
    endings.commit(until(lambda: take(jobs, WORKER)), job_result("0" * 64))
    with pytest.raises(openai.APIError) as caught:
        done.result()
    assert caught.value.code == "picture_expired"


def test_a_process_that_stops_says_so(caller: Caller, jobs: Queue, server: ApiServer) -> None:
    done = caller.stream([])
    the_job(jobs.connection)
    server.config.app.state.services.newsroom.release()  # type: ignore[union-attr]
    with pytest.raises(openai.APIError) as caught:
        done.result()
    assert caught.value.code == "wait_interrupted"


def test_a_stream_whose_job_cannot_be_made_is_an_ordinary_error(
    caller: Caller, jobs: Queue
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        caller.stream([], model="nothing")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_stream_of_a_finished_picture_is_complete_at_once(caller: Caller, jobs: Queue) -> None:
    done = caller.stream([], extra_body={"seed": 7})
    until(lambda: develop(jobs))
    done.result()
    told: list[Any] = []
    caller.stream(told, extra_body={"seed": 7}).result()
    assert [(each.type, each.model_dump()["cached"]) for each in told] == [(COMPLETED, True)]
