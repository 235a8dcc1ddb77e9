"""PNG and JPEG pictures, decoded by Pillow once it is known what that takes."""

import io
import warnings
from typing import Any

from PIL import (
    Image,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
)

from obliq.errors import DataError, ObliqError
from obliq.io.budget import STEP, Budget
from obliq.io.isolated.job import Found, Given, RawArray
from obliq.io.visible_text import reason_of

LARGEST_PICTURE = 2**24
"""Pixels of a picture, unless a job states another limit."""

PLUGINS = (JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin)
"""What Pillow would otherwise import at the first picture; the last one reads EXIF."""

_CHANNELS = {"L": 1, "RGB": 3}

_ERRORS = (
    *(
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        MemoryError,
    ),
)
"""What Pillow raises for damaged files, pictures that are too large among them."""

_STARTS = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8"}
_START_OF_SCAN = b"\xff\xda"


def read_pictures(given: Given) -> Found:
    """Pictures of one size, upright, as an array of pictures x height x width x channels.

    The arguments are `name` (of the data set), `files` (their names, for errors), `size` (width and height to scale
    them to, or None), `in_colour` (whether grey pictures get three equal channels), `pixels` (the most that a picture
    may have) and `like` (the shape that all should have, or None).

    Returns:
        One array of all; the first picture of another shape is an array of its own, and the last.

    Raises:
        DataError: for a picture that cannot be read.
    """
    arguments, alike = given.arguments, list[RawArray]()
    like, other = arguments["like"] and tuple(arguments["like"]), list[RawArray]()
    for file, content in zip(arguments["files"], given.contents, strict=True):
        picture = _upright(arguments, file, content, given.budget)
        if picture.shape != (like or picture.shape):
            other = [RawArray(picture.kind, (1, *picture.shape), picture.data)]
            break
        alike.append(picture)
    joined = b"".join(picture.data for picture in alike)
    whole = [RawArray("|u1", (len(alike), *alike[0].shape), joined)] if alike else []
    return Found([*whole, *other])


def _upright(arguments: Any, file: str, content: bytes, budget: Budget) -> RawArray:
    name, size = arguments["name"], arguments["size"]
    try:
        with _opened(content, ("PNG", "JPEG"), arguments["pixels"], budget) as image:
            bits = _png_bits(content)
            if bits > 8:  # Pillow would drop half of the bits of a colour picture
                raise DataError(f"{name}: {file} has {bits} bits per channel; expected 8, grey or RGB")
            if image.mode not in _CHANNELS:
                raise DataError(f"{name}: {file} has mode {image.mode}; expected grey (L) or RGB")
            if image.width * image.height > arguments["pixels"]:
                raise DataError(
                    f"{name}: {file} has {image.width}x{image.height} pixels; expected at most "
                    f"{arguments['pixels']:,} pixels"
                )
            upright = ImageOps.exif_transpose(image)  # a camera stores how it was held, and not turned pixels
            if arguments["in_colour"]:
                upright = upright.convert("RGB")
            channels = _CHANNELS[upright.mode]
            if size is not None:
                upright = upright.resize(tuple(size), Image.Resampling.BILINEAR)
            return RawArray("|u1", (upright.height, upright.width, channels), upright.tobytes())
    except DataError:
        raise
    except ObliqError as error:
        raise DataError(f"{name}: {file}: {error}") from error
    except _ERRORS as error:
        reason, expected = _what_is_wrong(content, error)
        raise DataError(f"{name}: cannot read {file} as an image ({reason}); expected {expected}") from error


def _what_is_wrong(content: bytes, error: Exception) -> tuple[str, str]:
    """Why a file is no picture, and what it should be. Pillow names the address of what it could not identify."""
    kind = next((kind for kind, start in _STARTS.items() if content.startswith(start)), None)
    if kind is None:
        return "it is neither PNG nor JPEG", "PNG or JPEG"
    damaged = f"a whole, undamaged {kind} file"
    return "its head is damaged" if isinstance(error, UnidentifiedImageError) else reason_of(error), damaged


def read_picture_rows(given: Given) -> Found:
    """A PNG picture of which each row is an image, as an array of rows x width x 3.

    The arguments are `file` (its name), `width` and `rows` (the most that it may have).

    Raises:
        DataError: for another picture, and for one that cannot be read.
    """
    file, width, rows = (given.arguments[name] for name in ("file", "width", "rows"))
    (content,) = given.contents
    try:
        with _opened(content, ("PNG",), width * rows, given.budget) as picture:
            if picture.mode != "RGB" or picture.width != width or picture.height > rows:
                raise DataError(
                    f"{file} is a {picture.width}x{picture.height} picture in mode {picture.mode}; expected RGB, "
                    f"{width} wide, one row an image and at most {rows} rows"
                )
            # once more where parts are joined
            given.budget.spend("its pixels", memory=2 * picture.height * 3 * width)
            return Found([RawArray("|u1", (picture.height, width, 3), picture.tobytes())])
    except ObliqError as error:
        raise DataError(f"{file}: {error}") from error
    except _ERRORS as error:
        reason, _ = _what_is_wrong(content, error)
        raise DataError(f"cannot read {file} as a PNG picture: {reason}") from error


def _opened(data: bytes, formats: tuple[str, ...], pixels: int, budget: Budget) -> Any:
    """A picture of which only the head is read; decoding it is paid for.

    Raises:
        ObliqError: for a head of too many parts, for pixels that take too long to decode, and for more than Pillow
            opens; `pixels`, the most that are expected, is for the message.
        Exception: one of `_ERRORS`.
    """
    scans = max(1, data.count(_START_OF_SCAN))  # a progressive JPEG is decoded once for each
    head = data[: data.find(_START_OF_SCAN)] if data[:2] == b"\xff\xd8" else b""
    budget.spend("the head of a picture", work=STEP * head.count(b"\xff") + 5 * STEP * _png_chunks(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged parts that are not read, such as animations
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ObliqError(
            f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels; expected at most {pixels:,}"
        ) from error
    width, height = picture.size
    samples = width * height * len(picture.getbands())
    budget.spend(f"a picture of {width}x{height} pixels", work=2 * samples * (scans if head else 1))
    return picture


def _png_bits(data: bytes) -> int:
    """Bits per channel of a PNG file; 0 for others."""
    return data[24] if data.startswith(_STARTS["PNG"]) and len(data) > 24 else 0


def _png_chunks(data: bytes) -> int:
    """How many parts a PNG file has; 0 for others."""
    count, place = 0, 8
    while data[:4] == b"\x89PNG" and place + 8 <= len(data):
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        count += 1
    return count
