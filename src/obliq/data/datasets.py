"""Load a data set by its name: built in, or one's own.

Own data are named `npz:FILE`, `folder:DIR` or `package.module:function`.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from obliq.data.cifar10 import cifar10
from obliq.data.collection import Collection
from obliq.data.image_folder import from_folder
from obliq.data.mnist import fashion_mnist, mnist
from obliq.data.npz_file import from_npz
from obliq.data.separate_sources import join_sources, sources_of
from obliq.data.source_options import split_options
from obliq.data.user_dataset import from_function
from obliq.errors import DataError

FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)


def digits(folder: Path | None = None) -> Collection:
    """1,797 grey images of 8x8 pixels, 10 classes, 14 forms as subjects; no official test part.

    Comes with scikit-learn, so `folder` is not looked at.
    """
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    labels = torch.as_tensor(target, dtype=torch.int64)
    starts = torch.tensor(FORM_STARTS)
    return Collection(
        name="digits",
        inputs=torch.as_tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16,  # 17 grey levels
        labels=labels,
        subjects=torch.bucketize(torch.arange(len(labels)), starts, right=True) - 1,
        mean=(0.3053,),
        deviation=(0.3760,),
        class_names=tuple("0123456789"),
    )


DATASETS: dict[str, Callable[[Path | None], Collection]] = {
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "mnist": mnist,
    "cifar10": cifar10,
}


def runs_code(name: str) -> bool:
    """Whether loading a data set by this name imports code of the user's."""
    return any(
        source not in DATASETS and not source.startswith(("npz:", "folder:"))
        for source in sources_of(name).values()
    )


def load_dataset(name: str, folder: Path | None = None) -> Collection:
    """Load a data set; the result's `name` loads it again.

    Args:
        name: a key of `DATASETS`, `npz:FILE`, `folder:DIR`, or `package.module:function` (runs that code); the last
            three with options such as `npz:FILE,layout=LC` (see `obliq.data.source_options`). Holdout and test samples
            can have sources of their own: `folder:train,holdout=folder:val,test=folder:test`.
        folder: where to look for the files of a built-in set first; no meaning for own data.

    Raises:
        DataError: for an unknown name, missing or damaged files, or content that is not a labelled data set.

    Example:
        >>> import obliq
        >>> data = obliq.load_dataset("digits")
        >>> len(data), data.sample_shape, data.classes
        (1797, (1, 8, 8), 10)
    """
    if name in DATASETS:
        return DATASETS[name](folder)
    sources = sources_of(name)
    if len(sources) > 1:
        return join_sources(name, {role: load_dataset(source, folder) for role, source in sources.items()})
    kind, colon, rest = name.partition(":")
    if colon and kind and rest:
        source, options = split_options(name)
        path = source.partition(":")[2]
        if kind == "npz":
            return from_npz(name, Path(path), options)
        if kind == "folder":
            return from_folder(name, Path(path), options)
        return from_function(name, source, options)
    raise DataError(
        f"there is no data set {name!r}; expected {', '.join(DATASETS)}, npz:FILE, folder:DIR or "
        "package.module:function"
    )
