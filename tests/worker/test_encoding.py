"""Pictures as bytes: their format, their size, and what they say of themselves."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contract.infotext import infotext, recipe
from contract.request import MEDIA_TYPES
from tests.contract.samples import job_request
from worker.encoding import EXIF_IFD, UNICODE, USER_COMMENT, encode

FINGERPRINT = "ab" * 32
RAMP = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("format_", MEDIA_TYPES)
@pytest.mark.parametrize("prompt", ["a red circle", "ein grüner Kreis 🎨", "赤い" * 2000])
def test_a_picture_says_how_it_was_made(format_: str, prompt: str) -> None:
    quality = None if format_ == "png" else 90
    request = job_request(format=format_, prompt=prompt, quality=quality)
    content = encode(RAMP, request, 1, FINGERPRINT)
    assert picture(content).get_format_mimetype() == MEDIA_TYPES[request.format]
    expected = infotext(request, 1, FINGERPRINT)
    if format_ == "png":
        texts: dict[str, str] = picture(content).text  # type: ignore[attr-defined]
        assert texts == {"parameters": expected, "darkroom": recipe(request, 1, FINGERPRINT)}
        assert json.loads(texts["darkroom"])["request"]["seed"] == request.seed + 1
    else:
        comment = picture(content).getexif().get_ifd(EXIF_IFD)[USER_COMMENT]
        assert comment == UNICODE + expected.encode("utf-16-be")
        assert b"Exif\0\0MM" in content or b"EXIF" in content  # as the web UI's own writer


@pytest.mark.parametrize("format_", MEDIA_TYPES)
def test_a_picture_can_be_silent(format_: str) -> None:
    content = encode(RAMP, job_request(format=format_, metadata=False), 0, FINGERPRINT)
    assert b"Steps" not in content
    assert "S\0t\0e\0p\0s".encode("latin-1") not in content
    assert not picture(content).getexif()
    assert "parameters" not in picture(content).info


def test_a_png_is_the_pixels_and_equal_requests_are_equal_bytes() -> None:
    alone, among = job_request(seed=9), job_request(seed=7, images=3)
    content = encode(RAMP, among, 2, FINGERPRINT)
    assert np.array_equal(np.asarray(picture(content)), RAMP)
    assert encode(RAMP, alone, 0, FINGERPRINT) == content
    assert encode(RAMP, alone, 1, FINGERPRINT) != content


@pytest.mark.parametrize("format_", ["jpeg", "webp"])
def test_quality_costs_bytes(format_: str) -> None:
    sizes = [
        len(encode(RAMP, job_request(format=format_, quality=quality), 0, ""))
        for quality in (1, 50, 100)
    ]
    assert sizes == sorted(set(sizes))


def test_a_picture_is_resized_to_what_was_asked() -> None:
    asked: dict[str, Any] = {"resized_width": 192, "resized_height": 128}
    request = job_request(**asked)
    content = encode(RAMP, request, 0, FINGERPRINT)
    assert picture(content).size == (192, 128)
    assert "Size: 64x64" in picture(content).info["parameters"]
    assert "Resized to: 192x128" in picture(content).info["parameters"]
