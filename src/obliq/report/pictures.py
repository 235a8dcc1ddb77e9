"""Forgotten images as PNG files, for a report whose reader asked to see them."""

import io

import numpy as np
from matplotlib.image import imsave

from obliq.data import Examples
from obliq.errors import DataError


def pictures(examples: Examples, count: int) -> list[bytes]:
    """The first `count` samples as PNG, each stretched to the full range of grey or colour.

    Raises:
        DataError: when the samples are no images of one or three channels.
    """
    shape = examples.collection.sample_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataError(f"samples of shape {shape} cannot be shown; expected images (1 or 3, height, width)")
    return [_png(image.numpy()) for image in examples.take(count).inputs()]


def _png(image: np.ndarray) -> bytes:
    span = float(image.max() - image.min()) or 1.0
    levels = np.moveaxis((image - image.min()) / span, 0, -1)
    file = io.BytesIO()
    imsave(file, np.repeat(levels, 3, axis=-1) if levels.shape[-1] == 1 else levels, format="png")
    return file.getvalue()
