"""Options at the end of the name of the user's own data, such as `npz:watch.npz,layout=LC`.

They settle what the data leave open: which axis is which, how pictures are scaled, what labels are called. They are
part of the name, so everything that loads the data again reads them in the same way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor

from obliq.errors import DataError

LAYOUTS = {"CHW": (0, 1, 2), "HWC": (2, 0, 1), "HW": None, "CL": (0, 1), "LC": (1, 0)}
"""What the axes of one sample are (channels, height, width, length), and the order that brings channels to the front;
None for grey pictures without an axis of channels."""

SCALES = ("-1..1", "0..1", "0..255")
ALLOWED = {
    "npz": ("layout", "labels", "scale"),
    "folder": ("image-size", "scale"),
    "function": ("layout", "labels", "scale"),
}
"""The options of each kind of source."""

_OPTION = re.compile(r",(layout|labels|scale|image-size)=([^,=]*)$")
_ANY_OPTION = re.compile(r",([A-Za-z][\w-]*)=[^,=/]*$")
_LARGEST_SIDE = 4096  # pixels
_FEW = 4  # channels of pictures at most; no picture has so few rows, and no recording is so short


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How to read one's own data.

    Attributes:
        layout: a key of `LAYOUTS`; None to infer it, which fails where two are possible.
        names_in_labels: whether labels are names of classes, which need not run from 0 without gaps.
        scale: the range that bytes become, one of `SCALES`.
        image_size: width and height to which pictures are scaled; None where all have one size.
    """

    layout: str | None = None
    names_in_labels: bool = False
    scale: str | None = None
    image_size: tuple[int, int] | None = None


def split_options(name: str) -> tuple[str, SourceOptions]:
    """The name of a source without its options, and the options.

    Raises:
        DataError: for a value that an option does not have, one that stands twice, and one of another kind of source.
    """
    source, found = name, dict[str, str]()
    while match := _OPTION.search(source):
        key, value = match.groups()
        if key in found:
            raise DataError(f"{name}: {key} is there twice; expected each option once")
        found[key], source = value, source[: match.start()]
    kind = source.partition(":")[0]
    allowed = ALLOWED[kind if kind in ALLOWED else "function"]
    unknown = _ANY_OPTION.search(source)
    if unknown and not Path(source.partition(":")[2]).exists():  # a file's name may look so, too
        raise DataError(f"{name}: {unknown[1]} is no option of {kind}: data; expected {', '.join(allowed)}")
    if wrong := [key for key in found if key not in allowed]:
        raise DataError(f"{name}: {wrong[0]} is no option of {kind}: data; expected {', '.join(allowed)}")
    _require_one_of(name, found, "layout", tuple(LAYOUTS))
    _require_one_of(name, found, "labels", ("names",))
    _require_one_of(name, found, "scale", SCALES)
    return source, SourceOptions(
        layout=found.get("layout"),
        names_in_labels="labels" in found,
        scale=found.get("scale"),
        image_size=_size(name, found["image-size"]) if "image-size" in found else None,
    )


def _require_one_of(name: str, found: dict[str, str], key: str, values: Sequence[str]) -> None:
    if key in found and found[key] not in values:
        raise DataError(f"{name}: {key} is {found[key]!r}; expected {', '.join(values)}")


def _size(name: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,4})(?:x([0-9]{1,4}))?", text)
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(1 <= side <= _LARGEST_SIDE for side in sides):
        raise DataError(f"{name}: image-size is {text!r}; expected 64 or 64x48 (width x height)")
    return sides


def require_clear_layout(name: str, sample: Sequence[int], kind: torch.dtype, layout: str | None) -> None:
    """Raise where the axes of a sample may mean two things and no option states which.

    Args:
        name: of the data.
        sample: shape of one sample.
        kind: type of its values.
        layout: as the option states it.

    Raises:
        DataError: with the option for each meaning.
    """
    shape = tuple(sample)
    if layout is not None:
        if len(layout) != len(shape):
            raise DataError(
                f"{name}: layout {layout} for samples of shape {shape}; expected one letter for each axis"
            )
        return
    if len(shape) == 3 and shape[2] in (1, 3, 4) and shape[0] > _FEW:
        raise DataError(
            f"{name}: samples have shape {shape}, which looks like pictures with colours last; expected (channels, "
            f"height, width), or the option that states the axes: {name},layout=HWC for colours last, or "
            f"{name},layout=CHW for {shape[0]} channels"
        )
    if len(shape) == 2 and shape[0] > _FEW and (kind == torch.uint8 or 2 * shape[0] > shape[1]):
        raise DataError(
            f"{name}: samples have shape {shape}, which can be grey pictures or signals; expected the option that "
            f"states the axes: {name},layout=HW for grey pictures of {shape[0]} x {shape[1]}, {name},layout=CL for "
            f"{shape[0]} channels of length {shape[1]}, or {name},layout=LC for {shape[1]} channels of length "
            f"{shape[0]}"
        )


def channels_first(inputs: Shaped[Tensor, "..."], layout: str | None) -> Shaped[Tensor, "..."]:
    """A sample, or samples, with their channels in front of the other axes.

    Args:
        inputs: whose last axes are those of the layout.
        layout: a key of `LAYOUTS`, or None where channels are in front already.
    """
    if layout is None:
        return inputs
    order, first = LAYOUTS[layout], inputs.dim() - len(layout)
    if order is None:
        return inputs.unsqueeze(first)
    return inputs.permute(*range(first), *(first + axis for axis in order)).contiguous()
