"""What was measured, and how often that is wrong: the part of a certificate that comes from the audit."""

from dataclasses import dataclass, field
from typing import Literal, final

from obliq.errors import CertificateError
from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.record.certificate.notation import require_digest_fields

CertifiedVerdict = Literal[
    "INDISTINGUISHABLE", "REMEMBERED", "OVER-FORGOTTEN", "DAMAGED", "NOTHING TO MEASURE", "INCONCLUSIVE"
]
PASSING = "INDISTINGUISHABLE"
REFUSING = ("REMEMBERED", "OVER-FORGOTTEN", "DAMAGED")


@final
@dataclass(frozen=True, kw_only=True)
class CertifiedStatistic:
    """One statistic of the verdict.

    Attributes:
        statistic: its name in audit.json.
        words: what it is, in words.
        value: of the result.
        before: of the original.
        low, high: range of the retrained networks; None on a side that does not count.
    """

    statistic: str
    words: str
    value: float
    before: float
    low: float | None = None
    high: float | None = None

    @property
    def is_outside(self) -> bool:
        """Whether the value lies outside the range of the retrained networks."""
        return (self.low is not None and self.value < self.low) or (
            self.high is not None and self.value > self.high
        )


@final
@dataclass(frozen=True, kw_only=True)
class CertifiedAudit:
    """What was measured.

    Attributes:
        digest: SHA-256 of audit.json, which has all numbers.
        measured: whether the shipped `file` was run, or the `network` that it was exported from.
        runtime: what ran the file; None for a network.
        verdict: the word.
        reason: why, where the number of samples may be stated.
        device_verdict: the verdict on the answers that a device recorded; None without a recording.
        retrained: how many retrained networks the verdict compares with.
        candidates: how many results this audit judged. Choosing the best of several favours chance.
        evidence: each statistic of the verdict; empty with fewer than two retrained networks.
    """

    digest: str
    measured: Literal["file", "network"]
    verdict: CertifiedVerdict
    retrained: int
    candidates: int
    evidence: tuple[CertifiedStatistic, ...]
    runtime: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    reason: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    device_verdict: CertifiedVerdict | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        require_digest_fields("audit", digest=self.digest)
        if self.retrained < 0 or self.candidates < 1:
            raise CertificateError(
                f"audit: {self.retrained} retrained networks, {self.candidates} candidates; expected 0 and 1 or more"
            )
        if self.verdict in (PASSING, "NOTHING TO MEASURE") and (self.retrained < 2 or not self.evidence):
            raise CertificateError(
                f"audit: the verdict is {self.verdict} by {self.retrained} retrained networks and "
                f"{len(self.evidence)} statistics; expected two or more networks, and the evidence"
            )
        outside = next((one for one in self.evidence if one.is_outside), None)
        if self.verdict == PASSING and outside is not None:
            raise CertificateError(
                f"audit: the verdict is {self.verdict}, and {outside.statistic} is {outside.value:g}, outside the "
                "range of the retrained networks; expected a verdict that fits its evidence"
            )


@final
@dataclass(frozen=True, kw_only=True)
class ErrorRates:
    """How often the rule of the verdict was wrong when it was measured, with as many retrained networks.

    Attributes:
        retrained: networks that were compared with.
        true_retrainings: networks that were truly retrained.
        refused_percent: of these, how many were refused, in percent.
        passed_percent: of these, how many passed.
        fakes_refused_percent: of each kind of fake, how many were refused: the smallest and the largest share.
        fakes_passed_percent: of each kind of fake, how many passed at most.
        source: where the measurement is published.
    """

    retrained: int
    true_retrainings: int
    refused_percent: int
    passed_percent: int
    fakes_refused_percent: tuple[int, ...]
    fakes_passed_percent: int
    source: str


_SOURCE = "benchmarks/results/auditor-errors.md (networks of digits and clothes, W4A4, that no constant was chosen on)"

PUBLISHED = {
    4: ErrorRates(
        retrained=4,
        true_retrainings=112,
        refused_percent=1,
        passed_percent=92,
        fakes_refused_percent=(98, 100),
        fakes_passed_percent=0,
        source=_SOURCE,
    ),
    7: ErrorRates(
        retrained=7,
        true_retrainings=112,
        refused_percent=4,
        passed_percent=90,
        fakes_refused_percent=(99, 100),
        fakes_passed_percent=0,
        source=_SOURCE,
    ),
}
"""By the number of retrained networks; for others the rates were not measured."""
