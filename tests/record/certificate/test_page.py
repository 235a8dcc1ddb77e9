"""The page of a certificate: it shows what the certificate states, and nothing else passes for it."""

import dataclasses
import html
import re
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")

from obliq.errors import CertificateError
from obliq.record.certificate.certified_audit import CertifiedVerdict
from obliq.record.certificate.make import sign_certificate
from obliq.record.certificate.page import (
    VERDICT_HEADLINES,
    read_certificate_text,
    render_certificate_page,
    require_own_page,
)
from obliq.record.certificate.predicate import Predicate
from obliq.record.certificate.verify import verify_certificate
from obliq.report.first_page import HEADLINES
from tests.record.certificate.cases import SHIPPED, ed25519_key, predicate, subjects


def page_of(stated: Predicate) -> bytes:
    """The page of a signed certificate."""
    signed = sign_certificate(stated, subjects(), [ed25519_key()])
    return render_certificate_page(signed.certificate.encode()).encode()


PAGE = page_of(predicate())


def test_a_page_is_verified_like_its_certificate(tmp_path: Path) -> None:
    page, file = tmp_path / "page.html", tmp_path / "unlearned.onnx"
    page.write_bytes(PAGE)
    file.write_bytes(SHIPPED)
    found = verify_certificate(page, file, ed25519_key().public.pem)
    assert (found.predicate, found.checked) == (predicate(), ("unlearned.onnx",))
    assert render_certificate_page(read_certificate_text(page)).encode() == PAGE


@pytest.mark.parametrize(
    ("shown", "instead"),
    [
        (b"DSR-2026-0114", b"DSR-2026-0115"),
        (b">INDISTINGUISHABLE<", b">DAMAGED<"),
        (b"</body>", b"<p>And more.</p></body>"),
        (b"</body>", b"<script>1</script></body>"),
        (b"Traces of the samples can remain.", b""),
        (b"\n</html>", b"</html>"),
        (b"0.9", b"0.4"),
    ],
)
def test_whoever_changes_what_is_shown_is_found_out(shown: bytes, instead: bytes) -> None:
    assert require_own_page(PAGE).startswith(b"{")
    assert shown in PAGE
    with pytest.raises(CertificateError, match="does not show what the certificate in it states"):
        require_own_page(PAGE.replace(shown, instead, 1))


def test_a_page_with_no_certificate_or_two() -> None:
    start, end = PAGE.index(b'<pre id="envelope">'), PAGE.index(b"</pre>") + len(b"</pre>")
    for altered, count in ((PAGE[:start] + PAGE[end:], 0), (PAGE[:end] + PAGE[start:], 2)):
        with pytest.raises(CertificateError, match=f"carries {count} certificates"):
            require_own_page(altered)
    with pytest.raises(CertificateError, match="not readable as JSON"):
        require_own_page(b'<!DOCTYPE html><pre id="envelope">{}{}</pre>')


@pytest.mark.parametrize("verdict", get_args(CertifiedVerdict))
def test_every_verdict_has_a_page(verdict: CertifiedVerdict) -> None:
    page = page_of(predicate(verdict)).decode()
    assert f'<p class="word">{verdict}</p>' in page
    assert VERDICT_HEADLINES[verdict] in page
    assert page.count("<strong>outside</strong>") == (verdict != "INDISTINGUISHABLE")


def test_headlines_are_those_of_the_report() -> None:
    assert VERDICT_HEADLINES == HEADLINES


def test_text_from_outside_is_escaped_and_nothing_is_loaded() -> None:
    hostile = '<img src=x onerror="1">\\'
    stated = dataclasses.replace(predicate(), case=hostile, operator=hostile)
    assert stated.method is not None
    stated = dataclasses.replace(
        stated, method=dataclasses.replace(stated.method, settings={hostile: hostile + "\x1b[2J\u202e"})
    )
    page = page_of(stated).decode()
    assert require_own_page(page.encode())
    assert hostile not in page
    assert html.escape(hostile, quote=False)[:10] in page
    assert re.search("[\x1b\u202e]", page) is None
    assert re.search(r"<script|<link|<img|<iframe|src=x onerror=\"|url\(|@import|href=", page) is None
    assert "default-src 'none'" in page
