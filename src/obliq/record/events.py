"""What a record notes of itself, its cases and its devices: one dataclass for each kind of event.

No event holds the name, the ids or the data of a person. A request is present as a digest that is keyed by a secret
salt, and as the digest of the encrypted file that names its samples.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from obliq.errors import RecordError
from obliq.record.policy import Policy
from obliq.record.values import parse_day, require_sha256, require_text

MOST_BATCHES = 100_000


class Event:
    """A fact that a record notes; each kind is a dataclass with a name."""

    kind: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class Begun(Event):
    """The record was created for a network.

    Attributes:
        record: random name of the record, 32 hexadecimal digits.
        network: weights digest of the original.
        partition: digest of its data and their division.
        data: what the network's record calls its data.
        released: SHA-256 of the file that devices run at the beginning.
        policy: the rules.
    """

    kind: ClassVar[str] = "begun"
    record: str
    network: str
    partition: str
    data: str
    released: str
    policy: Policy

    def __post_init__(self) -> None:
        require_sha256(network=self.network, partition=self.partition, released=self.released)


@dataclass(frozen=True, kw_only=True)
class Received(Event):
    """A request came in.

    Attributes:
        case: number of the case.
        request: random name of the encrypted file and of its key.
        received: day on which the request arrived, from which the deadline counts.
        about: kind of the request, for instance `one subject`.
        digest: of the samples, keyed by a salt that is encrypted with them; None where it was rejected at once.
        encrypted: SHA-256 of the encrypted file; None likewise.
    """

    kind: ClassVar[str] = "received"
    case: str
    request: str
    received: str
    about: str
    digest: str | None
    encrypted: str | None

    def __post_init__(self) -> None:
        require_text(case_number=self.case, about=self.about)
        parse_day("received", self.received)
        if not re.fullmatch("[0-9a-f]{16}", self.request):
            raise RecordError(f"request {self.request[:40]!r}; expected 16 hexadecimal digits")
        if self.digest is not None and self.encrypted is not None:
            require_sha256(digest=self.digest, encrypted=self.encrypted)


@dataclass(frozen=True, kw_only=True)
class Accepted(Event):
    """A request fits the data and is within the limits."""

    kind: ClassVar[str] = "accepted"
    case: str


@dataclass(frozen=True, kw_only=True)
class Rejected(Event):
    """A request will not be answered by unlearning."""

    kind: ClassVar[str] = "rejected"
    case: str
    reason: str

    def __post_init__(self) -> None:
        require_text(reason=self.reason)


@dataclass(frozen=True, kw_only=True)
class Approved(Event):
    """The actor approved a request, which is named by its keyed digest."""

    kind: ClassVar[str] = "approved"
    case: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Confirmed(Event):
    """So many devices run the network of a batch or a later one, and accept no earlier one.

    Attributes:
        floor: number of the batch, the sequence number that these devices confirmed.
        devices: how many, all together.
    """

    kind: ClassVar[str] = "confirmed"
    floor: int
    devices: int

    def __post_init__(self) -> None:
        if self.devices < 0:
            raise RecordError(f"{self.devices} devices; expected 0 or more")


@dataclass(frozen=True, kw_only=True)
class Recovered(Event):
    """The log lacks entries that cannot be found again, and goes on without them. A batch under way is given up.

    Attributes:
        reason: in words.
        batches: the highest number that a batch had; lost ones count as given up, and later ones get higher numbers.
        withheld: as for `Closed`, with the samples of every list that was found.
    """

    kind: ClassVar[str] = "recovered"
    reason: str
    batches: int
    withheld: str | None

    def __post_init__(self) -> None:
        require_text(reason=self.reason)
        if not 0 <= self.batches <= MOST_BATCHES:
            raise RecordError(f"{self.batches} batches; expected 0 to {MOST_BATCHES:,}")


@dataclass(frozen=True, kw_only=True)
class Closed(Event):
    """A case ended, and the key of its request is destroyed.

    Attributes:
        case: number of the case.
        outcome: in words.
        withheld: SHA-256 of the file with the fingerprints of samples that must not be trained on again; None where
            there is none yet.
    """

    kind: ClassVar[str] = "closed"
    case: str
    outcome: str
    withheld: str | None

    def __post_init__(self) -> None:
        require_text(outcome=self.outcome)
