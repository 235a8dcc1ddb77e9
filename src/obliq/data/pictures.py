"""PNG and JPEG pictures, opened once it is known what their decoding takes."""

import io
import warnings
from typing import Any

from obliq.io.budget import STEP, Budget

PICTURE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
)
"""What Pillow raises for damaged files, pictures that are too large among them."""

_START_OF_SCAN = b"\xff\xda"


def open_picture(data: bytes, formats: tuple[str, ...], budget: Budget) -> Any:
    """A picture of which only the head is read; decoding it is paid for.

    Args:
        data: the file's bytes.
        formats: names of formats in Pillow.
        budget: of all the files that belong together.

    Raises:
        ObliqError: for a head of too many parts, and for pixels that take too long to decode.
        Exception: one of `PICTURE_ERRORS`.
    """
    from PIL import Image

    scans = max(1, data.count(_START_OF_SCAN))  # a progressive JPEG is decoded once for each
    head = data[: data.find(_START_OF_SCAN)] if data[:2] == b"\xff\xd8" else b""
    budget.spend("the head of a picture", work=STEP * head.count(b"\xff") + 5 * STEP * _png_chunks(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged parts that are not read, such as animations
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(str(error)) from error
    width, height = picture.size
    samples = width * height * len(picture.getbands())
    budget.spend(f"a picture of {width}x{height} pixels", work=2 * samples * (scans if head else 1))
    return picture


def _png_chunks(data: bytes) -> int:
    """How many parts a PNG file has; 0 for others."""
    count, place = 0, 8
    while data[:4] == b"\x89PNG" and place + 8 <= len(data):
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        count += 1
    return count
