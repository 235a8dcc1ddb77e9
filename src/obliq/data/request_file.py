"""The request itself, as a file of its own: what was to be forgotten, down to the sample.

It is personal data. It stands beside a network, is readable by its owner alone, and can be deleted when
the request need no longer be shown; networks and reports hold counts and a keyed digest only.
"""

import os
import re
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import torch

from obliq.data import Partition, Splits
from obliq.errors import DataError, ObliqError
from obliq.io.json_documents import decode, parse_json, read_bytes, render_json

FORMAT, VERSION = "obliq-request", 1
FILE = "request.json"
LARGEST = 2**28


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to forget.

    Attributes:
        selector: the words of the request, for instance `subject=7`.
        ids: the samples that it meant, ascending.
        salt: 64 hexadecimal digits: the key of the digest.
        digest: the commitment that provenance and reports hold, see `Splits.digest`.
    """

    selector: str
    ids: tuple[int, ...] = field(repr=False)
    salt: str = field(repr=False)
    digest: str

    def __post_init__(self) -> None:
        for name in ("salt", "digest"):
            if not re.fullmatch("[0-9a-f]{64}", getattr(self, name)):
                raise DataError(f"{name} of the request is no 64 hexadecimal digits")
        if not self.ids or self.ids[0] < 0 or any(a >= b for a, b in pairwise(self.ids)):
            raise DataError("ids of the request; expected at least one, each once, ascending from 0 on")

    @classmethod
    def of(cls, splits: Splits, selector: str) -> "Request":
        """The request that led to these splits."""
        ids = tuple(int(index) for index in splits.forget.indices)
        return cls(selector=selector, ids=ids, salt=splits.salt.hex(), digest=splits.digest)

    def splits(self, partition: Partition) -> Splits:
        """The splits that the request led to.

        Raises:
            DataError: when the data or their division are not those that the request was made for.
        """
        splits = partition.forgetting(torch.tensor(self.ids), salt=bytes.fromhex(self.salt))
        if splits.digest != self.digest:
            raise DataError(
                f"the request has digest {self.digest[:12]}..., but these data and ids have "
                f"{splits.digest[:12]}...; expected the data and the division it was made for"
            )
        return splits


def save_request(file: Path, request: Request) -> None:
    """Write a request so that it appears whole, readable and writable by its owner alone.

    Raises:
        ObliqError: when the file cannot be written.
    """
    text = render_json({"format": FORMAT, "version": VERSION, **vars(request)})
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)  # made with mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())
            Path(draft).replace(file)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise ObliqError(f"cannot write {file}: {error.strerror or error}") from error


def load_request(file: Path) -> Request:
    """Read a request.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    try:
        values = parse_json(read_bytes(file, LARGEST))
        version = values.pop("version", None)
        if values.pop("format", None) != FORMAT or type(version) is not int or version < 1:
            raise DataError(f"not a request; expected format {FORMAT!r} and a version")
        if version > VERSION:
            raise DataError(f"made by a newer obliq (format version {version}); expected at most {VERSION}")
        return decode(Request, values, "the request")
    except ObliqError as error:
        raise DataError(f"{file}: {error}") from error
