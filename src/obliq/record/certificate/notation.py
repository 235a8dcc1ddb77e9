"""How digests and times are written in a certificate."""

from datetime import datetime

from obliq.errors import CertificateError
from obliq.io.sha256 import is_sha256

_TIME = "%Y-%m-%dT%H:%M:%SZ"


def rfc3339(time: datetime) -> str:
    """A time in UTC as in-toto wants it, with `Z`, to the second."""
    return time.strftime(_TIME)


def require_time(name: str, text: str) -> None:
    """Raise unless a text is a time as `rfc3339` writes it.

    Raises:
        CertificateError: naming the field.
    """
    try:
        found = rfc3339(datetime.strptime(text, _TIME))
    except ValueError:
        found = ""
    if found != text:
        raise CertificateError(f"{name} is {text[:40]!r}; expected UTC as in 2026-01-14T09:30:00Z")


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
