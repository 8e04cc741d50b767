"""Two keys of OpenAI's SDK see nothing of each other, and neither more than it may."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from openai import OpenAI
from redis import Redis
from rq import Queue

from app import keyring
from app.settings import AppSettings
from contract.keys import KeyLimits, add_key
from tests.app.compat.openai.conftest import Caller, all_jobs, sdk_for
from tests.app.conftest import develop
from tests.waiting import until


@pytest.fixture
def settings(settings: AppSettings, monkeypatch: pytest.MonkeyPatch) -> AppSettings:
    monkeypatch.setattr(keyring, "LEAST_AGE_S", 0.0)
    return settings.model_copy(update={"keys": "required"})


def sdk_of(url: str, connection: Redis, name: str, **limits: object) -> OpenAI:
    return sdk_for(url, add_key(connection, name, KeyLimits.model_validate(limits)).text)


def test_what_one_key_made_is_not_the_answer_of_another(
    url: str, jobs: Queue, aside: ThreadPoolExecutor
) -> None:
    mine, other = (sdk_of(url, jobs.connection, name) for name in ("mine", "other"))
    with mine, other:
        for sdk in (mine, other):
            call = Caller(sdk, aside).image(extra_body={"seed": 7})
            until(lambda: develop(jobs))
            assert call.result().model_dump()["cached"] is False
        again = mine.images.generate(prompt="a", extra_body={"seed": 7})
        assert again.model_dump()["cached"] is True
        (job_id, headers) = again.model_dump()["id"], {"Authorization": f"Bearer {other.api_key}"}
        assert httpx.get(f"{url}/jobs/{job_id}", headers=headers).status_code == 404
    assert all_jobs(jobs.connection) == []  # nobody's


@pytest.mark.usefixtures("model")
def test_a_key_that_is_none_is_an_authentication_error(url: str, sdk: OpenAI) -> None:
    for ask in (lambda: sdk.images.generate(prompt="a"), sdk.models.list):
        with pytest.raises(openai.AuthenticationError) as caught:
            ask()
        error = caught.value
        assert (error.code, error.type) == ("invalid_api_key", "authentication_error")


@pytest.mark.usefixtures("model")
def test_the_limits_of_a_key_are_errors_that_the_sdk_knows(
    url: str, connection: Redis, jobs: Queue, aside: ThreadPoolExecutor
) -> None:
    with sdk_of(url, connection, "slow", per_minute=1, max_steps=30, max_side=64) as sdk:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            sdk.images.generate(prompt="a", quality="high")
        assert (refused.value.code, refused.value.param) == ("beyond_key", "quality")
        call = Caller(sdk, aside).image(size="128x128")
        until(lambda: develop(jobs))
        reply = call.result()
        assert (reply.size, (reply.model_extra or {})["drawn_size"]) == ("128x128", "64x64")
        with pytest.raises(openai.RateLimitError) as caught:
            sdk.images.generate(prompt="a")
        assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "rate_limit_error")
        assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
