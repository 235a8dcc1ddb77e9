"""How digests and times are written in a certificate."""

from obliq.errors import CertificateError
from obliq.io.sha256 import is_sha256
from obliq.io.utc import parse_utc


def require_time(name: str, text: str) -> None:
    """Raise unless a text is a time in UTC as in-toto wants it.

    Raises:
        CertificateError: naming the field.
    """
    try:
        parse_utc(text)
    except ValueError:
        raise CertificateError(f"{name} is {text[:40]!r}; expected UTC as in 2026-01-14T09:30:00Z") from None


def require_digest_fields(where: str, **digests: str | None) -> None:
    """Raise unless all digests are SHA-256 in hexadecimal, or None.

    Raises:
        CertificateError: naming the field.
    """
    for name, digest in digests.items():
        if digest is not None and not is_sha256(digest):
            raise CertificateError(
                f"{where}.{name} is {digest[:80]!r}; expected SHA-256 as 64 hexadecimal digits"
            )
