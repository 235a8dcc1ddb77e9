"""A certificate is valid for its files and signers alone, whoever calls; the commands have tests of their own."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")

from obliq.errors import CertificateError
from obliq.io.keys import PrivateKey
from obliq.record.certificate.envelope import sign_payload
from obliq.record.certificate.statement import Subject, certificate_payload
from obliq.record.certificate.verify import subject_files, verify_certificate
from tests.record.certificate.cases import SHIPPED, ed25519_key, elliptic_key, predicate, subjects

PUBLIC = ed25519_key().public.pem


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A folder with a certificate, the file that ships and keys."""
    write(tmp_path)
    (tmp_path / "unlearned.onnx").write_bytes(SHIPPED)
    (tmp_path / "public.pem").write_bytes(PUBLIC)
    return tmp_path


def write(folder: Path, keys: tuple[PrivateKey, ...] = (ed25519_key(),), **fields: Any) -> None:
    """A certificate whose statement has further fields."""
    payload = json.loads(certificate_payload(predicate(), subjects())) | fields
    (folder / "cert.json").write_text(sign_payload(json.dumps(payload).encode(), keys).to_text())


def test_what_is_given_may_be_a_path_a_text_or_several(case: Path) -> None:
    certificate, file, key = case / "cert.json", case / "unlearned.onnx", case / "public.pem"
    for given in (
        (certificate, file, key),
        (str(certificate), str(file), str(key)),
        (certificate, [file], (key,)),
        (certificate, file, PUBLIC),
    ):
        found = verify_certificate(*given)  # type: ignore[arg-type]
        assert (found.predicate, found.subjects, found.checked) == (
            predicate(),
            subjects(),
            ("unlearned.onnx",),
        )
        assert ([one.pem for one in found.signers], found.passes) == ([PUBLIC], True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"certificate": "none"}, "none: cannot be read: No such file"),
        ({"keys": "none.pem"}, "cert.json: key .*none.pem: cannot be read"),
        ({"keys": "unlearned.onnx"}, "cert.json: key .*unlearned.onnx: not readable as a public key"),
        ({"keys": b"no key"}, "cert.json: not readable as a public key"),
        ({"keys": ed25519_key(2).public.pem}, "cert.json: the key .* did not sign this"),
        ({"keys": []}, "cert.json: no key was given"),
        ({"files": []}, "no file was given; expected the file that ships"),
        ({"files": "none"}, "none: cannot be read: No such file"),
        (
            {"files": "public.pem"},
            r"public.pem \(sha256 .*\) is no file of .*cert.json; expected unlearned.onnx \(",
        ),
        ({"files": ["unlearned.onnx", "public.pem"]}, "public.pem .* is no file of"),
    ],
)
def test_what_does_not_belong_together_is_refused(case: Path, changes: dict[str, Any], message: str) -> None:
    def place(value: Any) -> Any:
        return [case / one for one in value] if isinstance(value, list) else case / value

    given = {"certificate": "cert.json", "files": "unlearned.onnx", "keys": "public.pem"} | changes
    given = {name: value if isinstance(value, bytes) else place(value) for name, value in given.items()}
    with pytest.raises(CertificateError, match=message):
        verify_certificate(**given)


def test_what_standards_tolerate_is_read_only_where_asked(case: Path) -> None:
    def of_another_field() -> None:
        text = json.loads((case / "cert.json").read_text())
        (case / "cert.json").write_text(json.dumps(text | {"more": 1}))

    def of_another_signer() -> None:
        write(case, (ed25519_key(), elliptic_key()))

    def of_another_statement() -> None:
        write(case, more=1)

    for change, message in (
        (of_another_field, "unknown field 'more'"),
        (of_another_signer, "was not checked"),
        (of_another_statement, "unknown field 'more'"),
    ):
        change()
        with pytest.raises(CertificateError, match=message):
            verify_certificate(case / "cert.json", case / "unlearned.onnx", PUBLIC)
        found = verify_certificate(case / "cert.json", case / "unlearned.onnx", PUBLIC, conformant=True)
        assert found.predicate == predicate()
        write(case)


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    assert subject_files(folder) == [folder / "model.json", folder / "model.safetensors"]
    named = []
    for file in subject_files(folder):
        file.write_bytes(file.name.encode() * 2**18)  # more than is read at once
        named.append(Subject(f"network/{file.name}", {"sha256": sha256(file.read_bytes()).hexdigest()}))
    payload = certificate_payload(predicate(), [*named, *subjects()])
    (tmp_path / "cert.json").write_text(sign_payload(payload, [ed25519_key()]).to_text())
    found = verify_certificate(tmp_path / "cert.json", folder, PUBLIC)
    assert found.checked == ("network/model.json", "network/model.safetensors")
    (folder / "model.json").write_bytes(b"{}")
    with pytest.raises(CertificateError, match=r"model.json .* is no file of"):
        verify_certificate(tmp_path / "cert.json", folder, PUBLIC)
