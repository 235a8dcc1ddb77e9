"""A certificate as one HTML page to read and print, which carries the certificate.

A page is what this module writes from the certificate in it, byte for byte. Otherwise somebody could change what
people read, and leave the signed text as it is.
"""

import html
import re
from pathlib import Path

from obliq.errors import CertificateError, ObliqError
from obliq.io.regular_file import read_regular_file
from obliq.io.visible_text import visible_text
from obliq.record.certificate.envelope import parse_envelope
from obliq.record.certificate.statement import parse_payload

LARGEST_PAGE = 2**20
"""Bytes; a page takes about 40,000."""

VERDICT_HEADLINES = {
    "INDISTINGUISHABLE": "The attacks tried here cannot tell this network from one retrained without the samples.",
    "REMEMBERED": "The network still recognises samples that it should have forgotten.",
    "OVER-FORGOTTEN": "The network treats the forgotten samples worse than a network would that never saw them.",
    "DAMAGED": "The network does worse on other samples than retrained networks do.",
    "NOTHING TO MEASURE": "These attacks cannot tell even the network before unlearning from retrained ones.",
    "INCONCLUSIVE": "These measurements cannot decide whether the samples were forgotten.",
}
"""The verdicts in a sentence, as the report of an audit has them."""

_START = b"<!DOCTYPE html>"
_ENVELOPE = re.compile(r'<pre id="envelope">([^<>]*)</pre>')


def render_certificate_page(text: bytes) -> str:
    """The page of a certificate. Equal certificates give equal pages, byte for byte. No signature is checked.

    Raises:
        CertificateError: when the text is no certificate.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    envelope = parse_envelope(text)
    predicate, subjects = parse_payload(envelope.payload)
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader([here, here.parents[1] / "report"]),  # the report's style sheets
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("certificate.html.jinja").render(
        predicate=predicate,
        subjects=subjects,
        headline=VERDICT_HEADLINES[predicate.audit.verdict],
        keys=[one.keyid for one in envelope.signatures],
        envelope=envelope.to_text(),
    )
    return visible_text(page)


def read_certificate_text(file: Path) -> bytes:
    """The certificate in a file: the file itself, or what a page of it carries, whatever else the page shows.

    Raises:
        CertificateError: naming the file.
    """
    try:
        text = read_regular_file(file, LARGEST_PAGE)
        return _carried(text) if is_page(text) else text
    except ObliqError as error:
        raise CertificateError(f"{file}: {error}") from error


def is_page(text: bytes) -> bool:
    """Whether a file begins as a page does."""
    return text.startswith(_START)


def require_own_page(text: bytes) -> bytes:
    """The certificate that a page carries, if the page is exactly what is written from it.

    Raises:
        CertificateError: when the page carries no certificate, or shows anything else than it.
    """
    carried = _carried(text)
    if render_certificate_page(carried).encode() != text:
        raise CertificateError(
            "the page does not show what the certificate in it states: it was altered, or written by another version; "
            "expected a page as it was written. `obliq certificate page PAGE --out NEW.html` writes a new one"
        )
    return carried


def _carried(page: bytes) -> bytes:
    found = _ENVELOPE.findall(page.decode(errors="replace"))
    if len(found) != 1:
        raise CertificateError(
            f"the page carries {len(found)} certificates; expected one of `obliq certificate page`"
        )
    return html.unescape(found[0]).encode()
