"""What a certificate states about one request: digests, a verdict with its evidence, and what it does not cover.

`docs/certificate-format.md` describes every field. A certificate outlives the request and goes to others, so it holds
keyed digests, and the number of forgotten samples only where that is wanted.
"""

from dataclasses import dataclass, field
from typing import Literal, final

from obliq.errors import CertificateError
from obliq.io.strict_json import OMITTED_BY_DEFAULT, SettingValue
from obliq.record.certificate.certified_audit import PASSING, REFUSING, CertifiedAudit, ErrorRates
from obliq.record.certificate.limits import LIMITS, Limit
from obliq.record.certificate.notation import require_digest_fields, require_time

PREDICATE_TYPE = "urn:obliq:unlearning-certificate:v1"
LONGEST_TEXT = 200
"""Characters of a case number, of an operator, and of a name."""

RetainAccess = Literal["retain set", "part of the retain set", "statistics", "nothing", "not recorded"]


@final
@dataclass(frozen=True, kw_only=True)
class CertificateTimes:
    """When it happened, in UTC as RFC 3339 (`2026-01-14T09:30:00Z`); None where that was not recorded.

    Attributes:
        issued: when the certificate was signed.
        requested: when the request was received.
        unlearned: when the network that unlearned was saved.
        audited: when it was audited.
    """

    issued: str
    requested: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    unlearned: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    audited: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        for name in ("issued", "requested", "unlearned", "audited"):
            if (time := getattr(self, name)) is not None:
                require_time(f"times.{name}", time)


@final
@dataclass(frozen=True, kw_only=True)
class NetworkDigests:
    """SHA-256 of a network, in the forms that are known; at least one.

    Attributes:
        weights: of the integers of the network in PyTorch (`weights_digest`).
        content: of everything that the exported file computes with; a patch names it.
        file: of the exported file's bytes.
    """

    weights: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    content: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    file: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        if (self.weights, self.content, self.file) == (None, None, None):
            raise CertificateError("a network has no digest; expected at least one of weights, content, file")
        require_digest_fields("a network", weights=self.weights, content=self.content, file=self.file)


@final
@dataclass(frozen=True, kw_only=True)
class CertifiedPatch:
    """The patch that leads devices from the original to the result.

    Attributes:
        digest: SHA-256 of its file.
        sequence: its number; a device refuses one that is not above its floor.
        base: content digest of the network that it starts from.
        result: content digest of the network that it leads to.
        encrypted: whether the file is encrypted.
    """

    digest: str
    sequence: int
    base: str
    result: str
    encrypted: bool

    def __post_init__(self) -> None:
        require_digest_fields("patch", digest=self.digest, base=self.base, result=self.result)
        if self.sequence < 1:
            raise CertificateError(f"patch.sequence is {self.sequence}; expected 1 or more")


@final
@dataclass(frozen=True, kw_only=True)
class CertifiedMethod:
    """How the network was made to forget.

    Attributes:
        name: of the method.
        settings: its hyper-parameters.
        seed: of every random draw.
        retain_data: what the method read of the data that remain, see `obliq.methods.method.Access`.
    """

    name: str
    settings: dict[str, SettingValue]
    seed: int
    retain_data: RetainAccess


@final
@dataclass(frozen=True, kw_only=True)
class CertifiedRequest:
    """What was to be forgotten, without telling it.

    Attributes:
        digest: HMAC-SHA-256 of the samples and their roles, keyed with the request's salt. Who has `request.json` can
            show that it is this request; once that file is gone, nobody can.
        count: samples to forget. It is left out unless it is wanted, since few samples can identify a person.
        joined: how many requests were answered together and measured as one; None for a single one.
        own: where several were answered together, the digest of the one that the case is about.
    """

    digest: str
    count: int | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    joined: int | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    own: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        require_digest_fields("request", digest=self.digest, own=self.own)
        require_joined("request", self.joined)
        if self.count is not None and self.count < 1:
            raise CertificateError(f"request.count is {self.count}; expected 1 or more")


@final
@dataclass(frozen=True, kw_only=True)
class CertifiedEarlierRequest:
    """A request that was answered before, and that the result still answers.

    Attributes:
        digest: keyed as that of the request.
        joined: how many requests were answered together; None for a single one.
        method: that answered it.
        base: weights digest of the network that the method started from.
    """

    digest: str
    method: str
    base: str
    joined: int | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        require_digest_fields("earlier", digest=self.digest, base=self.base)
        require_joined("earlier", self.joined)


def require_joined(where: str, joined: int | None) -> None:
    """Raise unless several requests were joined, or None.

    Raises:
        CertificateError: naming the field.
    """
    if joined is not None and joined < 2:
        raise CertificateError(f"{where}.joined is {joined}; expected 2 or more, or no such field")


@final
@dataclass(frozen=True, kw_only=True)
class RecordHead:
    """The place of the case in the operator's log.

    Attributes:
        digest: of the last entry when the certificate was issued.
        entries: how many there were.
    """

    digest: str
    entries: int

    def __post_init__(self) -> None:
        require_digest_fields("record", digest=self.digest)


@final
@dataclass(frozen=True, kw_only=True)
class Predicate:
    """What a certificate states; see docs/certificate-format.md.

    Attributes:
        case: number under which the request is handled.
        operator: who answers for it.
        times: when it happened.
        base: the network before the request.
        result: the network after it.
        patch: from the one to the other; None where there is none.
        method: how the network forgot; None where it came without a record.
        partition: SHA-256 of the data and their division.
        request: what was to be forgotten.
        earlier: the requests before it that the result answers, too, oldest first.
        audit: what was measured.
        error_rates: of the verdict; None where they were not measured for as many retrained networks.
        versions: of the packages, by `unlearned` and `issued`.
        record: the head of the operator's log; None without one.
        not_covered: at least every code of `LIMITS`.
    """

    case: str
    operator: str
    times: CertificateTimes
    base: NetworkDigests
    result: NetworkDigests
    method: CertifiedMethod | None
    partition: str
    request: CertifiedRequest
    audit: CertifiedAudit
    error_rates: ErrorRates | None
    versions: dict[str, dict[str, str]]
    not_covered: tuple[Limit, ...]
    patch: CertifiedPatch | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    record: RecordHead | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    earlier: tuple[CertifiedEarlierRequest, ...] = field(default=(), metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        named = {name: getattr(self, name) for name in ("case", "operator")}
        wrong = {
            name: text
            for name, text in named.items()
            if not (1 <= len(text) <= LONGEST_TEXT and text.isprintable() and text.strip())
        }
        if wrong:
            given = " and ".join(f"{name} is {text[:40]!r}" for name, text in wrong.items())
            options = " and ".join(f"--{name}" for name in wrong)
            raise CertificateError(
                f"{given}; expected one line of 1 to {LONGEST_TEXT} characters{' each' * (len(wrong) > 1)} ({options})"
            )
        require_digest_fields("predicate", partition=self.partition)
        codes = [limit.code for limit in self.not_covered]
        if missing := [code for code in LIMITS if code not in codes]:
            raise CertificateError(f"not_covered lacks {missing[0]!r}; expected all of {', '.join(LIMITS)}")
        if len(set(codes)) != len(codes):
            raise CertificateError("not_covered has a code twice; expected each once")
        digests = [self.request.digest, *(one.digest for one in self.earlier)]
        if len(set(digests)) != len(digests):
            raise CertificateError(
                "earlier has a request twice, or the one that was answered now; expected each once"
            )
        if self.patch is not None and self.patch.result not in (self.result.content, self.result.weights):
            raise CertificateError(
                "the patch leads to another network than the result; expected the patch to what ships"
            )

    @property
    def earlier_requests(self) -> int:
        """How many requests were answered before, where each of several that were joined counts."""
        return sum(one.joined or 1 for one in self.earlier)

    @property
    def passes(self) -> bool:
        """Whether the verdict is the one that passes, and that of a device, if there is one, refused nothing."""
        return self.audit.verdict == PASSING and self.audit.device_verdict not in REFUSING
