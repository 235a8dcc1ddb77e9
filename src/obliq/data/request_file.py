"""The request as a file of its own: every sample that was to be forgotten.

It is personal data. The file lies next to a network, is readable by its owner alone, and can be deleted when the
request need no longer be proven. Networks and reports hold only counts and a keyed digest.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import torch

from obliq.data import Partition, Splits
from obliq.errors import DataError
from obliq.io.documents import DocumentType
from obliq.io.sha256 import is_sha256
from obliq.io.strict_json import OMITTED_BY_DEFAULT

REQUEST_FILE = "request.json"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to forget.

    Attributes:
        selector: the request as text, for instance `subject=7`.
        ids: the samples to forget, ascending.
        salt: 64 hexadecimal digits: the key of the digest.
        digest: the commitment that provenance and reports hold, see `Splits.digest`.
        earlier: the requests that were answered before, oldest first; their samples do not remain either.
        parts: the requests that were joined to this one, where there were several.
    """

    selector: str
    ids: tuple[int, ...] = field(repr=False)
    salt: str = field(repr=False)
    digest: str
    earlier: tuple["Request", ...] = field(default=(), repr=False, metadata=OMITTED_BY_DEFAULT)
    parts: tuple["Request", ...] = field(default=(), repr=False, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        for name in ("salt", "digest"):
            if not is_sha256(getattr(self, name)):
                raise DataError(
                    f"{name} of the request has {len(getattr(self, name))} characters; expected 64 hexadecimal digits"
                )
        if not self.ids or self.ids[0] < 0 or any(a >= b for a, b in pairwise(self.ids)):
            raise DataError(
                f"{len(self.ids)} ids in the request; expected at least one, each once, ascending from 0 on"
            )
        if any(one.earlier for one in (*self.earlier, *self.parts)) or any(one.parts for one in self.parts):
            raise DataError(
                "an earlier request, or a part, holds earlier requests of its own; expected one list of them"
            )
        again = len(set(self.ids) & set(self.ids_before))
        if again:
            raise DataError(
                f"{again:,} of {len(self.ids):,} samples of the request are in earlier ones, too; expected each in one"
            )
        if self.parts and not set(self.ids) <= {number for one in self.parts for number in one.ids}:
            raise DataError(
                "the request names samples that none of its parts names; expected those of its parts"
            )

    @classmethod
    def of(cls, splits: Splits, selector: str) -> "Request":
        """The request that led to these splits."""
        ids = tuple(int(index) for index in splits.forget.indices)
        return cls(selector=selector, ids=ids, salt=splits.salt.hex(), digest=splits.digest)

    @property
    def ids_before(self) -> tuple[int, ...]:
        """Every sample of the earlier requests, ascending."""
        return tuple(sorted({number for one in self.earlier for number in one.ids}))

    @property
    def all_ids(self) -> frozenset[int]:
        """Every sample of this request and of the earlier ones."""
        return frozenset(self.ids) | frozenset(self.ids_before)

    @property
    def every(self) -> tuple["Request", ...]:
        """Every single request, oldest first: the earlier ones and this one, each by its parts where it has some."""
        alone = replace(self, earlier=())
        return tuple(single for one in (*self.earlier, alone) for single in one.parts or (one,))

    def splits(self, partition: Partition) -> Splits:
        """The splits that the request led to.

        Raises:
            DataError: when the request is for other data or another division of them.
        """
        for one in self.earlier:
            one.splits(partition)
        before = torch.tensor(self.ids_before, dtype=torch.int64)
        splits = partition.forgetting(torch.tensor(self.ids), salt=bytes.fromhex(self.salt), earlier=before)
        if splits.digest != self.digest:
            raise DataError(
                f"the request has digest {self.digest[:12]}..., but these data and ids have "
                f"{splits.digest[:12]}...; expected the data and the division it was made for"
            )
        return splits


REQUEST_DOCUMENT = DocumentType(
    content=Request,
    format="obliq-request",
    version=1,
    title="request",
    error=DataError,
    largest=2**26,  # 5 million ids
)


def save_request(file: Path, request: Request) -> None:
    """Write a request so that it appears whole, readable and writable by its owner alone.

    Raises:
        ObliqError: when the file cannot be written.
    """
    REQUEST_DOCUMENT.write(file, request, overwrite=True, private=True)


def load_request(file: Path) -> Request:
    """Read a request.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    if (inside := file / REQUEST_FILE).is_file():
        raise DataError(f"{file} is a folder; expected the request in it, {inside}")
    return REQUEST_DOCUMENT.read(file)
