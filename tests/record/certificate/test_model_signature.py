"""OpenSSF Model Signing: a published signature, ours in the same form, and what a verifier must refuse."""

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")

from obliq.errors import CertificateError
from obliq.record.certificate.model_signature import sign_model
from obliq.record.certificate.verify import sha256_of_file
from obliq.record.certificate.verify_model import verify_model
from tests.record.certificate.cases import elliptic_key

PUBLISHED = json.loads(Path(__file__).with_name("published_model_signature.json").read_text())
PUBLIC = elliptic_key().public.pem


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The published model."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in PUBLISHED["files"].items():
        (folder / name).write_text(content)
    return folder


def text(bundle: Any) -> bytes:
    return json.dumps(bundle).encode()


def statement(bundle: Any) -> Any:
    return json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))


def form(value: Any) -> Any:
    """The names and types in a JSON value."""
    if isinstance(value, dict):
        return {name: form(one) for name, one in value.items()}
    return [form(one) for one in value[:1]] if isinstance(value, list) else type(value)


def test_a_published_signature_is_valid_and_ours_has_its_form(model: Path) -> None:
    bundle, key = PUBLISHED["bundle"], PUBLISHED["public_key"].encode()
    found = verify_model(text(bundle), model, key)
    assert (found.files, found.left_out) == (("signme-1", "signme-2"), ())
    files = {file.name: sha256_of_file(file) for file in model.iterdir()}
    ours = json.loads(sign_model("model", files, elliptic_key(), ["model.sig"]))
    assert form(ours) == form(bundle)
    assert form(statement(ours)) == form(statement(bundle))
    root = [statement(one)["subject"][0]["digest"] for one in (ours, bundle)]
    assert root[0] == root[1]
    assert verify_model(text(ours), model, PUBLIC).files == ("signme-1", "signme-2")
    with pytest.raises(CertificateError, match="the key did not sign this"):
        verify_model(text(ours), model, key)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "altered": (lambda model: (model / "signme-1").write_text("signme-3"), "signme-1 has sha256"),
    "missing": (lambda model: (model / "signme-1").unlink(), "signed and not there"),
    "further": (lambda model: (model / "more").touch(), "more is there and not signed"),
    "in a folder": (
        lambda model: (model / ".cache" / "a").mkdir(parents=True) or (model / ".cache/a/b").touch(),
        "b is there",
    ),
    "link": (lambda model: (model / "link").symlink_to(model / "signme-1"), "link is a link"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_files_than_the_signed_ones_are_refused(model: Path, change: str) -> None:
    alter, problem = CHANGES[change]
    alter(model)
    with pytest.raises(CertificateError, match=problem):
        verify_model(text(PUBLISHED["bundle"]), model, PUBLISHED["public_key"].encode())


def test_left_out_are_the_signature_itself_and_what_it_names(model: Path) -> None:
    (model / ".git").mkdir()
    (model / ".git" / "config").touch()
    (model / "ignore-me").touch()
    (model / "case.sig").write_bytes(text(PUBLISHED["bundle"]))
    key = PUBLISHED["public_key"].encode()
    found = verify_model((model / "case.sig").read_bytes(), model, key, exclude=model / "case.sig")
    assert found.files == ("signme-1", "signme-2")
    assert found.left_out == (".git/", "case.sig", "ignore-me"), "all that may be anything is stated"


def test_names_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(CertificateError, match="is not UTF-8"):
        sign_model("model\udcff", {"a": "0" * 64}, elliptic_key())


def resigned(change: Callable[[Any], object]) -> bytes:
    """A bundle with another statement, whose signature is right."""
    files = {"a": "0" * 64, "b": "1" * 64}
    bundle = json.loads(sign_model("model", files, elliptic_key()))
    stated = statement(bundle)
    change(stated)
    payload = json.dumps(stated).encode()
    kind = bundle["dsseEnvelope"]["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(elliptic_key().sign(signed)).decode()
    return text(bundle)


def test_statements_that_are_no_signature_of_a_model_are_refused(model: Path) -> None:
    def of(name: str, value: Any) -> Callable[[Any], object]:
        return lambda stated: stated.__setitem__(name, value)

    def serialized(name: str, value: Any) -> Callable[[Any], object]:
        return lambda stated: stated["predicate"]["serialization"].__setitem__(name, value)

    changes = (
        of("_type", "https://in-toto.io/Statement/v0.1"),
        of("predicateType", "https://model_signing/Digests/v0.1"),
        of("subject", []),
        of("subject", [{"name": "model", "digest": {"sha256": "0" * 64}}]),
        lambda stated: stated.pop("predicate"),
        lambda stated: stated["predicate"].__setitem__("resources", []),
        lambda stated: stated["predicate"]["resources"].append(stated["predicate"]["resources"][0]),
        lambda stated: stated["predicate"]["resources"][0].__setitem__("digest", "no number"),
        serialized("method", "shards"),
        serialized("hash_type", "blake3"),
        serialized("allow_symlinks", True),
        serialized("ignore_paths", "all"),
    )
    for change in changes:
        with pytest.raises(CertificateError, match="expected"):
            verify_model(resigned(change), model, PUBLIC)


def test_bundles_that_are_altered_are_refused(model: Path) -> None:
    def without(*path: Any) -> Any:
        bundle = copy.deepcopy(PUBLISHED["bundle"])
        inner = bundle
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        return bundle

    key, whole = PUBLISHED["public_key"].encode(), text(PUBLISHED["bundle"])
    broken = [
        text(without("mediaType")),
        text(without("dsseEnvelope")),
        text(without("verificationMaterial", "publicKey")),
        text(without("dsseEnvelope", "signatures", 0)),
        text(PUBLISHED["bundle"] | {"mediaType": "application/json"}),
        whole.replace(b"in-toto+json", b"in-toto"),
        whole.replace(b'"hint": "e8', b'"hint": "e9'),
        whole.replace(b"MGUCMQCV", b"MGUCMQCW"),
        whole[: len(whole) // 2],
        b"{}",
        b"",
    ]
    for bundle in broken:
        with pytest.raises(CertificateError, match="expected"):
            verify_model(bundle, model, key)
