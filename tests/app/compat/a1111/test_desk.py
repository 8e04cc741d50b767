"""The key in the manner of `--api-auth`."""

from urllib.parse import urlsplit

import pytest
from redis import Redis
from webuiapi import WebUIApi

from app import keyring
from app.main import ApiServer, create_app
from app.settings import AppSettings
from contract.keys import KeyLimits, add_key
from contract.workers import announce
from tests.contract.samples import model_card, worker_card


@pytest.fixture
def server(settings: AppSettings, monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    monkeypatch.setattr(keyring, "LEAST_AGE_S", 0.0)
    return ApiServer(create_app(settings.model_copy(update={"keys": "required"})))


def test_webuiapi_sends_the_key_as_its_password_and_each_key_has_its_own_options(
    url: str, connection: Redis, model: str
) -> None:
    announce(connection, worker_card("gpu-2", "other"), model_card("other"))
    place = urlsplit(url)

    def client(password: str) -> WebUIApi:
        return WebUIApi(place.hostname, place.port, username="anyone", password=password)

    keys = [add_key(connection, name, KeyLimits()).text for name in ("one", "two")]
    one, two, stranger = (client(each) for each in (*keys, "dk_000000000000_x"))
    assert one.set_options({"sd_model_checkpoint": "other"}) is None
    assert one.util_get_current_model().startswith("other [")
    assert two.util_get_current_model() is None
    assert stranger.get_options()["code"] == "not_authenticated"
    with pytest.raises(RuntimeError, match="401"):
        stranger.txt2img(prompt="a")
    for each in (one, two, stranger):
        each.session.close()
