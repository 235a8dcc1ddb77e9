"""What a network consists of, whatever file it is stored in: labelled records of integer codes and of words.

The label holds everything about a record but its values (name, type, shape, quantization parameters), so that labels
and values together are the network. Labels are only compared and hashed; nothing else interprets them.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from obliq.errors import PatchError
from obliq.patch.decoder import (
    CODES,
    IMAGE_HEAD,
    LARGEST_IMAGE,
    LONGEST_LABEL,
    MOST_RECORDS,
    RECORD_HEAD,
    WORDS,
    Refused,
    read_records,
)
from obliq.quantization import IntegerTensor, digest_entries, pack, unpack


@dataclass(frozen=True, eq=False)
class TensorRecord:
    """One tensor.

    Attributes:
        label: what it is, as bytes.
        bits: width of a code, 2 to 8; None for words.
        values: on one axis, int8 codes or unsigned words of 1, 2, 4 or 8 bytes. A word holds the bits of any type.
    """

    label: bytes
    bits: int | None
    values: ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.label) <= LONGEST_LABEL:
            raise PatchError(f"a label has {len(self.label)} bytes; expected 1 to {LONGEST_LABEL}")
        expected = (np.uint8, np.uint16, np.uint32, np.uint64) if self.bits is None else (np.int8,)
        if self.values.ndim != 1 or self.values.dtype not in expected:
            names = ", ".join(np.dtype(kind).name for kind in expected)
            raise PatchError(
                f"values are {self.values.dtype} on {self.values.ndim} axes; expected {names} on one"
            )

    @property
    def kind(self) -> int:
        """The number of its kind in the format."""
        return WORDS if self.bits is None else CODES

    @property
    def width(self) -> int:
        """Bits of a code as a device packs it, or bytes of a word."""
        return self.bits or self.values.itemsize

    @property
    def form(self) -> tuple[bytes, int, int, int]:
        """Everything but the values: label, kind, bytes of a word (0 for codes, as packing does not count), length."""
        return self.label, self.kind, 0 if self.kind == CODES else self.width, len(self.values)

    def stored(self) -> bytes:
        """The values as a device stores them: codes packed, words little-endian."""
        if self.bits is not None:
            writable = self.values.copy()  # torch warns of arrays that are views of a file
            return pack(torch.from_numpy(writable), self.bits).numpy().tobytes()
        return self.values.astype(self.values.dtype.newbyteorder("<")).tobytes()

    @classmethod
    def from_stored(cls, label: bytes, kind: int, width: int, elements: int, data: bytes) -> "TensorRecord":
        """The inverse of `stored`.

        Raises:
            ModelError: when there are too many or too few bytes, or bits that are set after the last code.
        """
        if kind == WORDS:
            return cls(label, None, np.frombuffer(data, f"<u{width}"))
        packed = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
        return cls(label, width, unpack(packed, width, (elements,)).numpy())


Content = tuple[TensorRecord, ...]
"""A network: its records, in the order that the reader of its file gives them."""


def network_content(integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]) -> Content:
    """The content of a quantized network; its digest is the network's `weights_digest`."""
    return tuple(
        TensorRecord(label, bits, _flat(value, bits))
        for label, value, bits in digest_entries(integers, floats)
    )


def network_state(
    content: Content, integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]
) -> tuple[dict[str, IntegerTensor], dict[str, Tensor]]:
    """The inverse of `network_content`, given any state of the same form.

    Raises:
        PatchError: when the content is of another form.
        ModelError: when codes or scales cannot be, for instance a scale that is not positive.
    """
    old = list(digest_entries(integers, floats))
    require_form_of(network_content(integers, floats), content, "the network")
    values = iter(
        torch.from_numpy(record.values.view(np.uint8).copy()).view(value.dtype).reshape(value.shape)
        for (_, value, _), record in zip(old, content, strict=True)
    )
    changed: dict[str, IntegerTensor] = {}
    for name, tensor in sorted(integers.items()):
        scale = next(values)
        changed[name] = replace(tensor, scale=scale, codes=None if tensor.codes is None else next(values))
    return changed, {name: next(values) for name in sorted(floats)}


def require_form_of(like: Content, content: Content, whose: str) -> None:
    """Raise unless a content differs from another in values only.

    Raises:
        PatchError: naming the one whose form was expected.
    """
    if [record.form for record in content] != [record.form for record in like]:
        raise PatchError(f"the content is of another form; expected that of {whose}")


def _flat(value: Tensor, bits: int | None) -> ndarray:
    flat = value.detach().cpu().contiguous().reshape(-1)
    return (
        flat.numpy() if bits is not None else flat.view(torch.uint8).numpy().view(f"<u{value.element_size()}")
    )


def to_device_image(content: Content) -> bytes:
    """The content as the bytes that a device stores: codes packed, words little-endian."""
    parts = []
    for record in content:
        head = RECORD_HEAD.pack(len(record.label), record.kind, record.width, len(record.values))
        parts += [head, record.label, record.stored()]
    length = IMAGE_HEAD.size + sum(map(len, parts))
    if length > LARGEST_IMAGE or len(content) > MOST_RECORDS:
        raise PatchError(
            f"{length} bytes in {len(content)} records; expected at most {LARGEST_IMAGE} in {MOST_RECORDS}"
        )
    return IMAGE_HEAD.pack(b"OBQN", 1, 0, len(content), length) + b"".join(parts)


def from_device_image(image: bytes) -> Content:
    """The inverse of `to_device_image`.

    Raises:
        PatchError: when the bytes are no image.
    """
    with decoder_refusals():
        places = read_records(image)
    return tuple(
        TensorRecord.from_stored(
            place.label,
            place.kind,
            place.width,
            place.elements,
            image[place.start : place.start + place.size],
        )
        for place in places
    )


def content_digest(content: Content) -> str:
    """SHA-256 of the content in hexadecimal: the one content digest of a network, whatever file it is stored in.

    A patch is bound to it, `weights_digest` is that of a model folder's content, and
    `obliq.exporting.ExportedFile.content_digest` that of an exported file's. Folder and file are two networks,
    since batch norm is folded into the file, and so have two digests.
    """
    digest = hashlib.sha256()
    for record in content:
        digest.update(record.label)
        digest.update(record.values.astype(record.values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def decoder_refusals() -> Iterator[None]:
    """Turn what the reference decoder refuses into an error of this package.

    Raises:
        PatchError: with the decoder's message.
    """
    try:
        yield
    except Refused as refused:
        raise PatchError(f"patch refused: {refused.args[1]}") from refused
