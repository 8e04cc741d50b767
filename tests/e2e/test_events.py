"""A picture that is watched while it develops, over HTTP."""

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
from PIL import Image

STEPS, PREVIEWS = 120, 4  # so many that the reader is there before the end
LIKE = 0.75  # correlation of the last preview with the picture
Event = tuple[str, dict[str, Any]]


def watch(service: httpx.Client, path: str) -> list[Event]:
    """All that is sent until the stream closes."""
    with service.stream("GET", path) as response:
        text = "".join(response.iter_text())
    found = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.split("\n") if line[:1] not in ("", ":")
        )
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def pixels(content: bytes) -> np.ndarray[Any, np.dtype[np.float64]]:
    image = Image.open(io.BytesIO(content)).convert("RGB").resize((32, 32), Image.Resampling.BOX)
    return np.asarray(image, np.float64).ravel()


def test_a_picture_is_watched_while_it_develops(service: httpx.Client) -> None:
    asked = {"prompt": "red apple", "seed": 1, "steps": STEPS, "previews": PREVIEWS}
    job = service.post("/generate", json=asked).json()
    told = watch(service, job["links"]["events"])
    names = [name for name, _ in told]
    assert (names[0], names[-1], names.count("started")) == ("queued", "end", 1)
    steps = [data["step"] for name, data in told if name == "progress"]
    assert steps == sorted(set(steps))

    shown = [data for name, data in told if name == "preview"]
    assert [preview["step"] for preview in shown] == [24, 48, 72, 96]
    end = told[-1][1]
    picture = pixels(service.get(end["images"][0]["url"]).content)
    likeness = [
        np.corrcoef(pixels(base64.b64decode(preview["data"])), picture)[0, 1] for preview in shown
    ]
    assert likeness[-1] > LIKE
    assert likeness[-1] > likeness[0]
    assert end == service.get(f"/jobs/{job['id']}").json()
