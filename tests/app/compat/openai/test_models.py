"""The models that OpenAI's SDK sees."""

from typing import get_args

import openai
import pytest
from openai import OpenAI
from openai.types.image_model import ImageModel
from redis import Redis

from app.compat.openai.models import model_named
from app.settings import AppSettings
from contract.errors import BadSetting
from contract.settings import load_settings
from contract.workers import announce
from tests.contract.samples import MODEL, model_card, worker_card

ALIASES = AppSettings().openai_models
MODELS = {"tiny": model_card(), "dall-e-9": model_card("dall-e-9")}


def test_models_are_listed_and_found(sdk: OpenAI, connection: Redis) -> None:
    for name in (MODEL, "team/large"):
        announce(connection, worker_card(name, name), model_card(name))
    assert [model.id for model in sdk.models.list()] == ["team/large", MODEL]
    found = sdk.models.retrieve("team/large")
    assert (found.id, found.object, found.owned_by) == ("team/large", "model", "darkroom")
    assert isinstance(found.created, int)
    for name in ("nothing", "a/b/c", "\0", "é"):
        with pytest.raises(openai.NotFoundError) as caught:
            sdk.models.retrieve(name)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match="Several models"):
        sdk.models.retrieve("gpt-image-2")


@pytest.mark.parametrize("name", get_args(ImageModel))
def test_every_name_that_the_sdk_knows_is_the_default_model(name: str) -> None:
    assert model_named(name, MODELS, ALIASES) is None


def test_a_model_of_ours_comes_before_the_names() -> None:
    assert model_named("dall-e-9", MODELS, ALIASES) == "dall-e-9"
    assert model_named("other", MODELS, ALIASES) == "other"
    assert model_named(None, MODELS, ALIASES) is None


def test_the_operator_says_what_a_name_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_OPENAI_MODELS", "dall-e-3=tiny, gpt-*")
    aliases = load_settings(AppSettings).openai_models
    found = [model_named(name, MODELS, aliases) for name in ("dall-e-3", "gpt-image-2", "dall-e-2")]
    assert found == ["tiny", None, "dall-e-2"]


def test_a_name_that_stands_for_nothing_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_OPENAI_MODELS", "dall-e-3=")
    with pytest.raises(BadSetting, match="DARKROOM_OPENAI_MODELS"):
        load_settings(AppSettings)
