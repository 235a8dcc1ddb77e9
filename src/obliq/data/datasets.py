"""Load a data set by its name: built in, or one's own.

Own data are named `npz:FILE`, `folder:DIR` or `package.module:function`.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from obliq.data.cifar10 import cifar10
from obliq.data.cifar100 import cifar100
from obliq.data.collection import Collection
from obliq.data.image_folder import from_folder
from obliq.data.mnist import fashion_mnist, mnist
from obliq.data.npz_file import from_npz
from obliq.data.separate_sources import TRAINING, join_sources, name_with_sources, sources_of
from obliq.data.source_options import split_options
from obliq.data.svhn import svhn
from obliq.data.tiny_imagenet import tiny_imagenet
from obliq.data.user_dataset import from_function
from obliq.data.watch import watch
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
    "cifar100": cifar100,
    "svhn": svhn,
    "tiny-imagenet": tiny_imagenet,
    "watch": watch,
}


def runs_code(name: str) -> bool:
    """Whether loading a data set by this name imports code of the user's."""
    return any(
        source not in DATASETS and not source.startswith(("npz:", "folder:"))
        for source in sources_of(name).values()
    )


def data_label(name: str) -> str:
    """What files that may leave the machine call a data set: a path or a function's name can be personal.

    Args:
        name: of a built-in set, of data in a file, a folder or a function, or any name without a colon.

    Example:
        >>> data_label("digits"), data_label("npz:/home/anna/diagnosis.npz")
        ('digits', 'own data (npz)')
    """
    kind, colon, _ = name.partition(":")
    if not colon:
        return name
    if len(sources_of(name)) > 1:
        return "own data (several sources)"
    return f"own data ({kind if kind in ('npz', 'folder') else 'function'})"


def require_label(label: str) -> str:
    """A label that a user gave to data.

    Raises:
        DataError: for one that could be taken for the name of a data set, and one that is no short line.
    """
    if label in DATASETS or ":" in label or not label.isprintable() or not 1 <= len(label) <= 80:
        raise DataError(
            f"the label {label[:80]!r}; expected 1 to 80 printable characters without a colon, and not the name of a "
            "built-in data set"
        )
    return label


def absolute_name(name: str) -> str:
    """The same name with absolute paths, which loads the data from any working folder.

    A path that could not be read back from the name, as one whose folder has an option in its name, stays as it is.

    Raises:
        DataError: for a name that is none.
    """
    found = {}
    for role, source in sources_of(name).items():
        kind, _, path = split_options(source)[0].partition(":")
        if kind in ("npz", "folder"):
            options = source.removeprefix(f"{kind}:{path}")
            # "..": the folder that it starts from may be gone one day
            place = Path(path).resolve() if ".." in Path(path).parts else Path(path).absolute()
            source = f"{kind}:{place}"
            if split_options(source)[0] != source or not source.isprintable():
                return name
            source += options
        found[role] = source
    joined = name_with_sources(found[TRAINING], {role: found[role] for role in found if role != TRAINING})
    return joined if sources_of(joined) == found else name


def recorded_data(name: str, label: str | None) -> tuple[str, str | None]:
    """What a network's record calls its data, and the private name that loads them, where that is another.

    The private name has absolute paths, since a network outlives the working folder of its training.

    Raises:
        DataError: for a label that is none.
    """
    named = data_label(name) if label is None else require_label(label)
    return named, None if named == name else absolute_name(name)


def data_to_load(recorded: str, trusted: str | None) -> str:
    """The name that loads a network's data.

    Args:
        recorded: the private name that the network's folder holds; otherwise what its record calls the data.
        trusted: the name that the user gave, which wins: data can be moved, and their digest is compared anyway.

    Raises:
        DataError: when only a label is recorded and the user gave no name, and when the name would run code that the
            user did not name.
    """
    if trusted is not None:
        return trusted
    if recorded not in DATASETS and ":" not in recorded:
        raise DataError(
            f"the network records only that its data are called {recorded!r}, and not where they lie (its folder "
            "has no source.json); expected the data from you, for instance --data npz:FILE"
        )
    if runs_code(recorded):
        raise DataError(
            f"the network's data {recorded!r} come from a function outside Obliq, which is never imported "
            f"because a file names it; expected that name from you (--data {recorded}) if you trust it"
        )
    return recorded


def require_outside(name: str, out: Path) -> None:
    """Raise where a result would lie in a folder of pictures, whose sub-folders are classes.

    Args:
        name: of a data set.
        out: where a result is to go.

    Raises:
        DataError: naming the folder.
    """
    for source in sources_of(name).values():
        if source.startswith("folder:"):
            folder = Path(split_options(source)[0].partition(":")[2]).resolve()
            if folder in (out.resolve(), *out.resolve().parents):
                raise DataError(f"{out} lies in the data ({source}); expected a folder outside them")


def load_dataset(name: str, folder: Path | str | None = None) -> Collection:
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
        return DATASETS[name](None if folder is None else Path(folder))
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
    own = Path(name)
    if name and (own.is_dir() or (own.is_file() and own.suffix == ".npz")):
        kind = "folder" if own.is_dir() else "npz"
        raise DataError(f"there is no data set {name!r}; expected {kind}:{name}")
    raise DataError(
        f"there is no data set {name!r}; expected {', '.join(DATASETS)}, npz:FILE, folder:DIR or "
        "package.module:function"
    )
