"""Load a data set by its name: built in, or one's own.

Own data are named `npz:FILE`, `folder:DIR` or `package.module:function`.
"""

from collections.abc import Callable
from pathlib import Path

from obliq.data.cifar10 import cifar10
from obliq.data.collection import Collection
from obliq.data.digits import digits
from obliq.data.idx_images import fashion_mnist, mnist
from obliq.data.image_folder import from_folder
from obliq.data.imported import from_function
from obliq.data.npz_file import from_npz
from obliq.errors import DataError

DATASETS: dict[str, Callable[[Path | None], Collection]] = {
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "mnist": mnist,
    "cifar10": cifar10,
}


def runs_code(name: str) -> bool:
    """Whether loading a data set by this name imports code of the user's."""
    return name not in DATASETS and not name.startswith(("npz:", "folder:"))


def load(name: str, folder: Path | None = None) -> Collection:
    """Load a data set; the result's `name` loads it again.

    Args:
        name: a key of `DATASETS`, `npz:FILE`, `folder:DIR`, or `package.module:function` (runs that code).
        folder: where to look for the files of a built-in set first; no meaning for own data.

    Raises:
        DataError: for an unknown name, missing or damaged files, or content that is not a labelled data set.
    """
    if name in DATASETS:
        return DATASETS[name](folder)
    kind, colon, rest = name.partition(":")
    if colon and kind and rest:
        if kind == "npz":
            return from_npz(name, Path(rest))
        if kind == "folder":
            return from_folder(name, Path(rest))
        return from_function(name)
    raise DataError(
        f"there is no data set {name!r}; expected {', '.join(DATASETS)}, npz:FILE, folder:DIR or "
        "package.module:function"
    )
