"""Whatever is sent is understood, or refused in a way that can be told."""

import json
from typing import Any

from fastapi.exceptions import RequestValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.census import Census
from app.compat.a1111.envelope import write_error
from app.compat.a1111.options import FIXED, read_options
from app.compat.a1111.request import Txt2Img, wanted
from app.problems import problem_of
from app.settings import AppSettings
from contract.errors import RequestError
from contract.request import MOST_IMAGES
from contract.sampler_names import SCHEDULES, WEB_UI_NAMES
from tests.contract.samples import model_card

CENSUS = Census({"tiny": model_card()}, ())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 600)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["", "tiny", "\ud800", "\0", "euler a", "Automatic", *SCHEDULES])
    | st.sampled_from([name.sampler for name in WEB_UI_NAMES.values()])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
SCRIPTS = st.dictionaries(st.text(max_size=5), st.fixed_dictionaries({"args": VALUES}))
OPTIONS = st.dictionaries(st.sampled_from(["sd_model_checkpoint", *FIXED]), VALUES, max_size=2)
NAMES = st.sampled_from([*sorted(Txt2Img.model_fields), "anything"])
BODIES = st.builds(
    lambda plain, special: {"prompt": "a"} | plain | special,
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.fixed_dictionaries({}, optional={"alwayson_scripts": SCRIPTS, "override_settings": OPTIONS}),
)


@settings(max_examples=150, deadline=None)
@given(BODIES)
def test_whatever_is_sent_is_understood_or_refused(body: dict[str, Any]) -> None:
    refusal: RequestError | None = None
    try:
        asked = Txt2Img.model_validate(body)
        model = read_options(asked.override_settings, CENSUS, AppSettings())
        native = wanted(asked, model)
    except (ValidationError, RequestValidationError):
        return
    except RequestError as error:
        refusal = error
    if refusal is not None:
        assert "field" in json.loads(bytes(write_error(problem_of(refusal), None).body))
        return
    assert native.images == asked.batch_size * asked.n_iter <= MOST_IMAGES
    json.dumps(asked.echo, allow_nan=False).encode()
