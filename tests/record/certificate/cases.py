"""Keys, and an audit of two small networks with the files that ship, made without training."""

import dataclasses
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from obliq.auditing import audit_models, render_audit
from obliq.auditing.measure import AuditedModel
from obliq.auditing.verdict import Word
from obliq.checkpoints import save_checkpoint
from obliq.checkpoints.metadata import EarlierRequest
from obliq.exporting import export_file, parse_exported
from obliq.io.keys import PrivateKey, parse_private_key
from obliq.patch import encode_patch
from obliq.quantization import weights_digest
from obliq.record.certificate.certified_audit import PUBLISHED, CertifiedAudit, CertifiedStatistic
from obliq.record.certificate.limits import standard_limits
from obliq.record.certificate.predicate import (
    CertificateTimes,
    CertifiedEarlierRequest,
    CertifiedMethod,
    CertifiedPatch,
    CertifiedRequest,
    NetworkDigests,
    Predicate,
    RecordHead,
)
from obliq.record.certificate.statement import Subject
from tests.auditing.synthetic import network
from tests.patch.networks import SHAPE, saved_pair

PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()
SHIPPED = b"a network for devices"


def ed25519_key(number: int = 1) -> PrivateKey:
    """A key that is always the same."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))
    return parse_private_key(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN))


def elliptic_key(number: int = 1) -> PrivateKey:
    """The same on P-256."""
    key = ec.derive_private_key(number, ec.SECP256R1())
    return parse_private_key(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN))


KEYS = {"Ed25519": ed25519_key(), "ECDSA P-256": elliptic_key()}


def predicate(verdict: Word = "INDISTINGUISHABLE") -> Predicate:
    """What a certificate states, with every field there is."""
    limit = 0.95 if verdict == "INDISTINGUISHABLE" else 0.5
    return Predicate(
        case="DSR-2026-0114",
        operator="A. Example",
        times=CertificateTimes(issued="2026-01-14T09:30:00Z", requested="2026-01-02T08:00:00Z"),
        base=NetworkDigests(weights="1" * 64),
        result=NetworkDigests(weights="2" * 64, content="3" * 64, file="4" * 64),
        patch=CertifiedPatch(digest="5" * 64, sequence=3, base="6" * 64, result="3" * 64, encrypted=True),
        method=CertifiedMethod(name="fine-tune", settings={"epochs": 5}, seed=0, retain_data="retain set"),
        partition="7" * 64,
        request=CertifiedRequest(digest="8" * 64, count=123, joined=2, own="b" * 64),
        earlier=(
            CertifiedEarlierRequest(digest="c" * 64, method="fine-tune", base="1" * 64),
            CertifiedEarlierRequest(digest="d" * 64, joined=3, method="not recorded", base="1" * 64),
        ),
        audit=CertifiedAudit(
            digest="9" * 64,
            measured="file",
            runtime="a runtime 1.0",
            verdict=verdict,
            reason="All lie within.",
            retrained=4,
            candidates=1,
            evidence=(
                CertifiedStatistic(
                    statistic="a", words="a statistic", value=0.3, before=1.0, low=-0.1, high=0.5
                ),
                CertifiedStatistic(statistic="b", words="another", value=0.9, before=1.0, high=limit),
            ),
        ),
        error_rates=PUBLISHED[4],
        versions={"issued": {"obliq": "0"}},
        record=RecordHead(digest="a" * 64, entries=17),
        not_covered=standard_limits(),
    )


def subjects() -> tuple[Subject, ...]:
    """A file that holds `SHIPPED`, and a patch."""
    import hashlib

    return (
        Subject("unlearned.onnx", {"sha256": hashlib.sha256(SHIPPED).hexdigest()}),
        Subject("forget.patch", {"sha256": "5" * 64}),
    )


def write_case(folder: Path) -> None:
    """An original, a network that unlearned, its file, the patch, and keys in a folder."""
    old, new = saved_pair()
    history = dataclasses.replace(
        new.provenance,
        splits_digest="b" * 64,
        base_digest=weights_digest(old.model),
        method="fine-tune",
        method_fields={"epochs": 5},
        parts=("c" * 64, "d" * 64),
        earlier=(
            EarlierRequest(request="e" * 64, method="fine-tune", base_digest=weights_digest(old.model)),
        ),
    )
    saved = {"original": old, "unlearned": dataclasses.replace(new, provenance=history)}
    contents = []
    for name, one in saved.items():
        save_checkpoint(folder / name, one, created="2026-01-13T10:00:00+01:00")
        file = export_file(one.model, SHAPE)
        (folder / f"{name}.onnx").write_bytes(file)
        contents.append(parse_exported(file).content)
    (folder / "forget.patch").write_bytes(encode_patch(*contents, 3))
    for name, key in {"private": ed25519_key(), "other": ed25519_key(2), "elliptic": elliptic_key()}.items():
        write_signing_key(folder / f"{name}.pem", key)
        (folder / f"{name}-public.pem").write_bytes(key.public.pem)


def write_signing_key(file: Path, key: PrivateKey) -> None:
    """A key as its owner keeps it."""
    file.write_bytes(key.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN))
    file.chmod(0o600)


def write_audit(folder: Path, surety: float, *, case: str = "", operator: str = "") -> None:
    """The audit of these networks in a new folder, next to four retrained ones.

    Args:
        folder: where.
        surety: of the unlearned network about forgotten samples; retrained ones have 2, the original 4.
        case, operator: of the audit.
    """
    old, new = saved_pair()
    sizes = {"forget": 100, "retain": 300, "holdout": 100, "test": 300}
    models = [
        AuditedModel(
            kind="original", answers=network(4.0, 1, **sizes), weights_digest=weights_digest(old.model)
        ),
        AuditedModel(
            kind="unlearned", answers=network(surety, 2, **sizes), weights_digest=weights_digest(new.model)
        ),
        *(
            AuditedModel(kind="retrained", name=f"retrained {number}", answers=network(2.0, number, **sizes))
            for number in range(3, 7)
        ),
    ]
    digests = {"partition": "0" * 64, "splits": "b" * 64}
    audit = audit_models(models, precision="W4A4", digests=digests)
    folder.mkdir()
    text = render_audit(dataclasses.replace(audit, case=case, operator=operator))
    (folder / "audit.json").write_text(text)
