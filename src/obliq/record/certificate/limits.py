"""What a certificate does not cover; each lists at least these points."""

from dataclasses import dataclass
from typing import final

from obliq.errors import CertificateError

LIMITS = {
    "traces": "Traces of the samples can remain. The certificate states what the named statistics measured. Attacks on "
    "single samples with many shadow networks, and longer relearning, were not tried.",
    "single-sample": "Nothing is stated about a single sample. The numbers are averages over all samples of the "
    "request.",
    "law": "Whether a legal duty is met is not stated. People judge that, and this is one piece of evidence.",
    "other-copies": "Only the files and networks whose digests are listed are covered: no data set, backup, copy or "
    "log.",
    "derived-networks": "Networks that were derived from the original or from the result are not covered.",
    "devices": "Which devices run the result, and whether they dropped the original, is not shown.",
    "differences": "A patch does not hide what was forgotten: anyone who holds the original and the result can compare "
    "them.",
    "honesty": "The signature shows who signed. It does not show that the data, the networks, the request and the "
    "times were as stated.",
    "verdict-errors": "The verdict can be wrong. Its error rates were measured on small networks, and may differ here.",
}
"""What every certificate of this version lists, by code; the texts may be translated, and no code may be missing."""


@final
@dataclass(frozen=True, kw_only=True)
class Limit:
    """One thing that the certificate does not cover: a code of `LIMITS`, and the sentence."""

    code: str
    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise CertificateError(f"not_covered: {self.code[:80]!r} has no text; expected a sentence")


def standard_limits() -> tuple[Limit, ...]:
    """What every certificate lists, in English."""
    return tuple(Limit(code=code, text=text) for code, text in LIMITS.items())
