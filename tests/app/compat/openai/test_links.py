"""Links that open without a key."""

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from app.compat.openai.links import SECRET_KEY, signature
from app.settings import AppSettings
from contract import deletion
from contract.identity import new_job_id
from contract.job import read_job
from contract.keys import KeyLimits, add_key
from tests.app.compat.openai.conftest import Caller, sdk_for
from tests.app.conftest import PNG, develop
from tests.contract.samples import TTL_S
from tests.waiting import until


@pytest.fixture
def settings(settings: AppSettings) -> AppSettings:
    return settings.model_copy(update={"keys": "required"})


@pytest.fixture
def link(url: str, jobs: Queue, aside: ThreadPoolExecutor) -> str:
    key = add_key(jobs.connection, "team", KeyLimits()).text
    with sdk_for(url, key) as sdk:
        call = Caller(sdk, aside).image(response_format="url")
        until(lambda: develop(jobs))
        (image,) = call.result().data or []
    assert image.url is not None
    assert image.url.startswith(url)
    return image.url


def changed(link: str, **fields: str) -> str:
    parts = urlsplit(link)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return parts._replace(query=urlencode(query | fields)).geturl()


def job_of(link: str) -> str:
    return urlsplit(link).path.split("/")[3]


def refusal(link: str) -> tuple[int, str]:
    answer = httpx.get(link)
    return answer.status_code, answer.json()["error"]["code"]


def test_a_link_opens_for_whoever_has_it(link: str) -> None:
    answer = httpx.get(link)
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    again = httpx.get(link, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert httpx.get(link, headers={"Range": "bytes=1-3"}).content == PNG[1:4]


def test_a_link_that_was_changed_is_refused(link: str, connection: Redis) -> None:
    job_id = job_of(link)
    later = str(int(time.time()) + 10**6)
    for other in [
        changed(link, expires=later),
        changed(link, expires=""),
        changed(link, signature="0" * 64),
        changed(link, signature="é"),
        changed(link, expires="é"),
        changed(link, signature=""),
        link.split("?")[0],
        link.replace(job_id, new_job_id()),
        link.replace(f"{job_id}/0", f"{job_id}/1"),
        link.replace(f"{job_id}/0", f"{job_id}/-1"),
    ]:
        assert refusal(other) == (403, "link_refused"), other


def test_a_link_expires(link: str, connection: Redis) -> None:
    secret = connection.get(SECRET_KEY)
    assert isinstance(secret, bytes)
    job_id = job_of(link)
    past = str(int(time.time()) - 1)
    signed = signature(secret, job_id, 0, past)
    assert refusal(changed(link, expires=past, signature=signed)) == (403, "link_refused")


def test_a_link_to_a_job_that_is_gone_says_so(link: str, connection: Redis) -> None:
    connection.delete(Job.key_for(job_of(link)))
    assert refusal(link) == (410, "job_expired")


def test_a_link_to_a_job_that_was_deleted_says_so(link: str, connection: Redis) -> None:
    record = read_job(connection, job_of(link))
    assert record is not None
    deletion.finish(connection, deletion.begin(connection, record), TTL_S)
    assert refusal(link) == (410, "job_deleted")
