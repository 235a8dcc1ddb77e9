"""Samples that must never be trained on again, as fingerprints that name nobody.

After the key of a request is destroyed, later batches must still keep its samples out: the original learned them, and
they may still be in the data. Each sample leaves a keyed fingerprint of its position, label and content. With the key
and the sample one can tell that it is withheld; without the sample, the fingerprint reveals nothing. Once the samples
are removed from wherever the data are kept, nothing is left that leads to them.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.data import Examples
from obliq.data.collection import Collection
from obliq.errors import RecordError
from obliq.io.documents import DocumentType

KEY_NAME = "withheld"
"""Of the key of all fingerprints, which stays as long as the record."""
_AT_ONCE = 1024


@dataclass(frozen=True)
class Withheld:
    """What the file holds: fingerprints in ascending order, which hides the order in which cases were closed."""

    fingerprints: tuple[str, ...] = ()


WITHHELD_DOCUMENT = DocumentType(
    content=Withheld,
    format="obliq-withheld",
    version=1,
    title="list of withheld samples",
    error=RecordError,
    largest=2**28,
)


def withheld_name(digest: str) -> str:
    """Name of the file with this SHA-256."""
    return f"{digest[:16]}.json"


def sample_fingerprints(collection: Collection, ids: Int[Tensor, " samples"], key: bytes) -> list[str]:
    """The fingerprint of each of these samples.

    Source: HMAC-SHA-256 over position (8 bytes), label (8 bytes) and input (float32, as networks read it).
    """
    found = []
    for start in range(0, len(ids), _AT_ONCE):
        chunk = ids[start : start + _AT_ONCE]
        inputs = collection.fetch(chunk).contiguous().numpy()
        for position, index in enumerate(chunk.tolist()):
            place = index.to_bytes(8, "little") + int(collection.labels[index]).to_bytes(8, "little")
            found.append(hmac.new(key, place + inputs[position].tobytes(), hashlib.sha256).hexdigest())
    return found


def withheld_ids(train: Examples, withheld: Withheld, key: bytes) -> Int[Tensor, " withheld"]:
    """The ids of training samples that are withheld, ascending.

    Raises:
        RecordError: when a fingerprint is of no training sample: the data or the key are others.
    """
    known = set(withheld.fingerprints)
    mine = sample_fingerprints(train.collection, train.indices, key)
    chosen = [index for index, one in zip(train.indices.tolist(), mine, strict=True) if one in known]
    if len(chosen) != len(known):
        raise RecordError(
            f"{len(known) - len(chosen):,} of {len(known):,} withheld samples are not in the training data; expected "
            "the data and the keys with which the cases were closed"
        )
    return torch.tensor(chosen, dtype=torch.long)


def joined(withheld: Withheld, added: Iterable[str]) -> Withheld:
    """The list with more fingerprints."""
    return Withheld(tuple(sorted({*withheld.fingerprints, *added})))
