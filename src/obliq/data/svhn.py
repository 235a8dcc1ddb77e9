"""SVHN, house numbers in street views, from its MATLAB files of cropped digits.

Netzer et al., "Reading digits in natural images with unsupervised feature learning" (NIPS workshop 2011).
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from obliq.data.collection import Collection
from obliq.data.dataset_files import candidate_folders, file_content, missing_files
from obliq.data.matlab_file import read_byte_arrays
from obliq.errors import DataError
from obliq.io.budget import Budget
from obliq.io.regular_file import size_of

SVHN_FILES = ("train_32x32.mat", "test_32x32.mat")
_LARGEST_FILE = 512 * 2**20  # bytes; the originals have 182 and 64 MB


def svhn(folder: Path | None = None) -> Collection:
    """73,257 training and 26,032 test colour images of 32x32 pixels, 10 digits. The extra images are not read.

    Raises:
        DataError: when the files are missing, damaged, or hold anything but the expected arrays.
    """
    for place in candidate_folders(folder, ("", "svhn")):
        files = [place / name for name in SVHN_FILES]
        if all(file.is_file() for file in files):
            budget = Budget(size_of(*files), DataError)
            (images, labels), (tests, test_labels) = [_part(file, budget) for file in files]
            return Collection(
                name="svhn",
                inputs=torch.cat([images, tests]),
                labels=torch.cat([labels, test_labels]),
                official_test=torch.arange(len(labels) + len(test_labels)) >= len(labels),
                mean=(0.4377, 0.4438, 0.4728),
                deviation=(0.1980, 0.2010, 0.1970),
                class_names=tuple("0123456789"),
            )
    raise missing_files(
        "svhn", SVHN_FILES, folder, "get both files of the official SVHN's format 2, cropped digits"
    )


def _part(file: Path, budget: Budget) -> tuple[Tensor, Tensor]:
    held = read_byte_arrays(str(file), file_content(file, _LARGEST_FILE), budget)
    pixels, classes = held.get("X"), held.get("y")
    if pixels is None or classes is None or pixels.shape[:3] != (32, 32, 3) or pixels.ndim != 4:
        shapes = ", ".join(f"{name} of shape {array.shape}" for name, array in held.items())
        raise DataError(
            f"{file} holds bytes in {shapes or 'no variable'}; expected X of shape (32, 32, 3, images) and y"
        )
    if classes.size != pixels.shape[3] or not classes.size or classes.min() < 1 or classes.max() > 10:
        raise DataError(
            f"{file} has {pixels.shape[3]:,} images and {classes.size:,} labels; expected one label from 1 to 10 "
            "for each image"
        )
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)))
    return images, torch.from_numpy(
        classes.reshape(-1).astype(np.int64)
    ) % 10  # the file calls the digit 0 class 10
