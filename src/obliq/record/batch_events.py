"""What a record notes of a batch: one dataclass for each step that is done, and for each decision about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from obliq.io.strict_json import OMITTED_BY_DEFAULT, SettingValue
from obliq.record.events import Event
from obliq.record.values import parse_time, require_sha256, require_text


@dataclass(frozen=True, kw_only=True)
class Planned(Event):
    """Several requests will be answered together, from the original network.

    Attributes:
        batch: its number from 1, which is also the sequence number of its patches.
        cases: the new requests.
        splits: keyed digest of all samples that the new network must not have learned from, those of earlier batches
            included.
        samples: how many these are.
        method: registered name of the method.
        settings: its fields that are not the default.
        seed: of every random draw.
        expires: from when on devices with a clock refuse its patches, as 2030-01-31T12:00:00Z; None for patches that do
            not expire.
    """

    kind: ClassVar[str] = "planned"
    batch: int
    cases: tuple[str, ...]
    splits: str
    samples: int
    method: str
    settings: dict[str, SettingValue]
    seed: int
    expires: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        require_sha256(splits=self.splits)
        if self.expires is not None:
            parse_time("expires", self.expires)


@dataclass(frozen=True, kw_only=True)
class Unlearned(Event):
    """A network was unlearned.

    Attributes:
        batch: number of the batch.
        network: weights digest of the result.
        base: that of the network that the method started from.
        failures: what its gate found, in words; none when it passed.
    """

    kind: ClassVar[str] = "unlearned"
    batch: int
    network: str
    base: str
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Retrained(Event):
    """A reference network was trained without the samples.

    Attributes:
        batch: number of the batch.
        number: of the reference, from 1.
        network: its weights digest.
    """

    kind: ClassVar[str] = "retrained"
    batch: int
    number: int
    network: str


@dataclass(frozen=True, kw_only=True)
class Exported(Event):
    """The file that devices will run was written.

    Attributes:
        batch: number of the batch.
        file: SHA-256 of the file.
        content: its content digest, which its patches lead to.
    """

    kind: ClassVar[str] = "exported"
    batch: int
    file: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Audited(Event):
    """Network and file were audited.

    Attributes:
        batch: number of the batch.
        verdict: word of the verdict on the network; empty where there is none.
        audit: SHA-256 of audit.json.
    """

    kind: ClassVar[str] = "audited"
    batch: int
    verdict: str
    audit: str


@dataclass(frozen=True, kw_only=True)
class MadePatch:
    """One patch.

    Attributes:
        base: the batch whose file it changes; 0 for the file of the original.
        file: SHA-256 of the patch as it is sent, encrypted or not.
    """

    base: int
    file: str


@dataclass(frozen=True, kw_only=True)
class Patched(Event):
    """Patches from the file of every earlier release were written; their sequence number is that of the batch."""

    kind: ClassVar[str] = "patched"
    batch: int
    patches: tuple[MadePatch, ...]


@dataclass(frozen=True, kw_only=True)
class Tolerated(Event):
    """The actor lets a batch go on although its gate or its audit refused it."""

    kind: ClassVar[str] = "tolerated"
    batch: int
    reason: str

    def __post_init__(self) -> None:
        require_text(reason=self.reason)


@dataclass(frozen=True, kw_only=True)
class Abandoned(Event):
    """A batch will not be shipped; its requests are open again."""

    kind: ClassVar[str] = "abandoned"
    batch: int
    reason: str

    def __post_init__(self) -> None:
        require_text(reason=self.reason)


@dataclass(frozen=True, kw_only=True)
class IssuedCertificate:
    """The certificate of one case.

    Attributes:
        case: number of the case.
        file: SHA-256 of the certificate.
        summary: SHA-256 of the summary for generic tools; None where the verdict does not pass.
    """

    case: str
    file: str
    summary: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        require_sha256(certificate=self.file)
        if self.summary is not None:
            require_sha256(summary=self.summary)


@dataclass(frozen=True, kw_only=True)
class Certified(Event):
    """What was done and measured was signed, once for each case of a batch.

    Attributes:
        batch: number of the batch.
        key: fingerprint of the key that signed, as certificates state it.
        certificates: in the order of the cases of the batch.
    """

    kind: ClassVar[str] = "certified"
    batch: int
    key: str
    certificates: tuple[IssuedCertificate, ...]

    def __post_init__(self) -> None:
        require_sha256(key=self.key)


EVENTS: Mapping[str, Any] = {kind.kind: kind for kind in Event.__subclasses__()}
"""Every kind of event by its name in the log: those above and those of `obliq.record.events`."""
