import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import InvalidRequest, UnsupportedSize
from contract.request import MOST_RESIZED, GenerateRequest
from contract.resolution import resolve
from contract.sizes import Size, can_draw, nearest_size
from tests.contract.samples import model_card

STARTER = model_card(width=128, height=128, min_side=16, max_side=128, side_multiple=8)


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ((128, 128), (128, 128)),
        ((512, 512), (128, 128)),
        ((512, 384), (128, 96)),
        ((384, 512), (96, 128)),
        ((1792, 1024), (128, 72)),
        ((1024, 1536), (88, 128)),
        ((100, 100), (104, 104)),
        ((8, 8), (16, 16)),
        ((2048, 8), (128, 16)),
        ((8, 2048), (16, 128)),
    ],
)
def test_nearest_size_keeps_the_ratio(asked: tuple[int, int], nearest: tuple[int, int]) -> None:
    assert nearest_size(Size(*asked), STARTER) == nearest


@given(st.integers(1, 8192), st.integers(1, 8192), st.sampled_from([8, 16, 64]))
def test_nearest_size_can_be_drawn(width: int, height: int, multiple: int) -> None:
    model = STARTER.model_copy(update={"side_multiple": multiple, "max_side": 200})
    nearest = nearest_size(Size(width, height), model)
    assert all(can_draw(model, side) for side in nearest)
    if can_draw(model, width) and can_draw(model, height):
        assert nearest == (width, height)


def test_a_size_is_fitted_only_where_the_request_says_so() -> None:
    with pytest.raises(UnsupportedSize) as caught:
        resolve(GenerateRequest(prompt="a", width=512), STARTER)
    assert caught.value.field == "width"
    assert "size_policy" in str(caught.value)
    fitted = GenerateRequest(prompt="a", width=512, height=384, size_policy="fit")
    request = resolve(fitted, STARTER)
    assert (request.width, request.height) == (128, 96)
    assert request.final_size == (512, 384)
    assert "128x96" in request.warnings[0]


def test_a_size_that_can_be_drawn_is_never_resized() -> None:
    request = resolve(GenerateRequest(prompt="a", width=64, size_policy="fit"), STARTER)
    assert (request.width, request.height, request.is_resized) == (64, 128, False)
    assert request.warnings == []


def test_a_picture_is_resized_to_a_bound() -> None:
    asked = GenerateRequest(prompt="a", height=MOST_RESIZED + 8, size_policy="fit")
    with pytest.raises(UnsupportedSize):
        resolve(asked, STARTER)


def test_a_quality_belongs_to_formats_that_lose_something() -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(GenerateRequest(prompt="a", quality=50), STARTER)
    assert caught.value.field == "quality"
    assert resolve(GenerateRequest(prompt="a", format="webp"), STARTER).quality == 90
    assert resolve(GenerateRequest(prompt="a", format="jpeg", quality=1), STARTER).quality == 1


@pytest.mark.parametrize(
    "fields",
    [{}, {"width": 512, "size_policy": "fit"}, {"format": "webp", "metadata": False, "images": 3}],
)
def test_a_resolved_request_leads_to_itself(fields: dict[str, object]) -> None:
    first = resolve(GenerateRequest.model_validate({"prompt": "a", "seed": 3} | fields), STARTER)
    assert resolve(first.asked(3), STARTER) == first
