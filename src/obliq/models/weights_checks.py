"""What a file of weights would take, before a library reads it whole."""

import io

from obliq.errors import ObliqError
from obliq.io.archive import open_archive
from obliq.io.budget import OBJECT, STEP, Budget
from obliq.io.document_text import LARGEST_DOCUMENT
from obliq.io.pickle_check import check_pickle
from obliq.io.strict_json import parse_json


def check_header(opened: io.BufferedIOBase, size: int, budget: Budget) -> None:
    """Raise unless a safetensors file has the size that its header adds up to, before the rest is read."""
    length = int.from_bytes(opened.read(8), "little")
    if size < 8 or length > min(size - 8, LARGEST_DOCUMENT):
        raise ObliqError(f"{size} bytes and a header of {length}; expected a whole safetensors file")
    described = parse_json(opened.read(length))
    budget.spend("the list of tensors", memory=4 * OBJECT * len(described), work=5 * STEP * len(described))
    entries = [entry for name, entry in described.items() if name != "__metadata__"]
    places = [entry.get("data_offsets") if isinstance(entry, dict) else None for entry in entries]
    total = 0
    for place in places:
        if not isinstance(place, list) or len(place) != 2 or not all(type(end) is int for end in place):
            raise ObliqError("a tensor without two positions; expected a whole safetensors file")
        total += place[1] - place[0]
    if total != size - 8 - length:
        raise ObliqError(
            f"{size - 8 - length} bytes behind the header, which describes {total}; expected a whole safetensors file"
        )


_LARGEST_PICKLE = 2**26
"""Bytes of the pickle in a file of torch.save, which names tensors and holds none; a large network takes one MB."""

_OLD_FORMAT = 5
"""Pickles at the start of a file of torch before 1.6: its mark, version and system, the state dict, and its keys."""

_NO_PLAIN_VALUES = ("bytearray", "_rebuild_meta_tensor_no_storage", "_rebuild_wrapper_subclass")
"""What torch's restricted reader may call, and no state dict needs: memory of any size, and tensors without values."""


def check_saved(opened: io.BufferedIOBase, size: int, budget: Budget) -> None:
    """Raise when torch's reader would take more than the size of a file of torch.save explains."""
    if opened.read(4) != b"PK\3\4":
        opened.seek(0)
        for _ in range(_OLD_FORMAT):
            _check_pickle(opened, budget)
        return
    with open_archive(opened, "a file of torch.save", "torch.save(network.state_dict(), FILE)") as archive:
        entries = archive.infolist()
        budget.spend("the list of entries", memory=4 * OBJECT * len(entries), work=10 * STEP * len(entries))
        if sum(entry.file_size for entry in entries) > size or any(entry.compress_type for entry in entries):
            raise ObliqError("its entries are compressed or overlap; expected a file as torch.save writes it")
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                if entry.file_size > _LARGEST_PICKLE:
                    raise ObliqError(
                        f"a pickle of {entry.file_size} bytes; expected {_LARGEST_PICKLE} at most"
                    )
                _check_pickle(io.BytesIO(archive.read(entry)), budget)


def _check_pickle(opened: io.BufferedIOBase, budget: Budget) -> None:
    try:
        check_pickle(opened, budget, without=_NO_PLAIN_VALUES)
    except ObliqError as error:
        raise ObliqError(
            f"it is damaged or holds more than tensors ({error}); expected a state dict "
            "(torch.save(network.state_dict(), FILE)), or a .safetensors file"
        ) from error
