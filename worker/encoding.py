"""Pixels to the bytes of a picture, with its parameters in it where they are wanted."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from contract.infotext import infotext, recipe
from contract.request import JobRequest
from contract.sizes import Size

PREVIEW_SIDE = 256  # pixels, at most
PREVIEW_QUALITY = 70  # of 100

EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
UNICODE = b"UNICODE\0"
"""What stands before a text of UTF-16 in a UserComment (Exif 2.32, 4.6.5, table 9)."""


def encode(pixels: NDArray[np.uint8], request: JobRequest, n: int, model_fingerprint: str) -> bytes:
    """Picture `n` in the format, quality and size of the request: equal ones are equal bytes.

    Args:
        pixels: [height, width, 3] RGB, as the model drew them.
    """
    picture = Image.fromarray(pixels)
    if request.is_resized:
        picture = picture.resize(request.final_size, Image.Resampling.LANCZOS)
    options: dict[str, Any] = {}
    if request.quality is not None:
        options["quality"] = request.quality
    if request.metadata:
        options |= _metadata(request, n, model_fingerprint)
    buffer = io.BytesIO()
    picture.save(buffer, format=request.format.upper(), **options)
    return buffer.getvalue()


def _metadata(request: JobRequest, n: int, model_fingerprint: str) -> dict[str, Any]:
    """Options for Pillow. A text chunk is tEXt where Latin-1 holds it, else iTXt."""
    parameters = infotext(request, n, model_fingerprint)
    if request.format == "png":
        chunks = PngInfo()
        chunks.add_text("parameters", parameters)
        chunks.add_text("darkroom", recipe(request, n, model_fingerprint))
        return {"pnginfo": chunks}
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = UNICODE + parameters.encode("utf-16-be")
    return {"exif": exif}


def encode_preview(pixels: NDArray[np.uint8], size: Size) -> bytes:
    """[h, w, 3] RGB to the bytes of a WebP of `size`."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    image.save(buffer, format="WEBP", quality=PREVIEW_QUALITY, method=0)
    return buffer.getvalue()


def preview_size(final: Size) -> Size:
    """In the shape of the finished picture, and no larger than a preview may be."""
    shrink = min(1.0, PREVIEW_SIDE / max(final))
    return Size(max(1, round(final.width * shrink)), max(1, round(final.height * shrink)))
