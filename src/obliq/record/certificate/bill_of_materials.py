"""What ships as a bill of materials for tools that collect them: CycloneDX 1.6, with the original as its ancestor.

Source: CycloneDX/specification, schema/bom-1.6.schema.json (ECMA-424). It repeats what the certificate states about the
network, names the certificate by its digest, and has no case, operator, request or path. Equal certificates give equal
bytes.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from obliq.io.strict_json import render_json
from obliq.record.certificate.predicate import NetworkDigests, Predicate
from obliq.record.certificate.statement import Subject

MODEL = "machine-learning-model"


def bill_of_materials(
    predicate: Predicate, shipped: Path, subjects: Sequence[Subject], name: str, certificate: str
) -> str:
    """The bill of materials as JSON.

    Args:
        predicate: what the certificate states.
        shipped: the exported file, or the folder of a saved network.
        subjects: the files that the certificate is about; a patch is no part of the network.
        name: of the certificate's file.
        certificate: its text.
    """
    digest = hashlib.sha256(certificate.encode()).hexdigest()
    model = shipped.resolve().name
    found: dict[str, Any] = {
        "type": MODEL,
        "bom-ref": "shipped",
        "name": model,
        "modelCard": _model_card(predicate),
        "pedigree": {"ancestors": [_ancestor(predicate.base)], "notes": _history(predicate)},
        "externalReferences": [{"type": "attestation", "url": quote(name), "hashes": _hashes(digest)}],
        "properties": _properties(_digests(predicate.result)),
    }
    files = {one.name.removeprefix(f"{model}/"): one.sha256 for one in subjects}
    if shipped.is_dir():
        found["components"] = [
            {"type": "file", "name": name, "hashes": _hashes(sha256)}
            for name, sha256 in files.items()
            if (shipped / name).is_file()
        ]
    else:
        found["hashes"] = _hashes(files[model])
    return render_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
            "version": 1,
            "metadata": {
                "timestamp": predicate.times.issued,
                "tools": {
                    "components": [
                        {"type": "application", "name": package, "version": version}
                        for package, version in sorted(predicate.versions.get("issued", {}).items())
                    ]
                },
                "component": found,
            },
        }
    )


def _model_card(predicate: Predicate) -> dict[str, Any]:
    """What was measured: each statistic of the verdict, and the range of retrained networks as a property."""
    audit = predicate.audit
    ranges = {f"obliq:range:{one.statistic}": _range(one.low, one.high) for one in audit.evidence}
    stated = {
        "obliq:verdict": audit.verdict,
        "obliq:device-verdict": audit.device_verdict,
        "obliq:retrained-networks": audit.retrained,
        "obliq:measured": audit.measured,
        **ranges,
    }
    return {
        "modelParameters": {"approach": {"type": "supervised"}, "task": "classification"},
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": one.statistic, "value": _number(one.value), "slice": one.words}
                for one in audit.evidence
            ]
        },
        "considerations": {"technicalLimitations": [limit.text for limit in predicate.not_covered]},
        "properties": _properties(stated),
    }


def _ancestor(base: NetworkDigests) -> dict[str, Any]:
    """The network before the request."""
    found: dict[str, Any] = {
        "type": MODEL,
        "bom-ref": "original",
        "name": "original",
        "properties": _properties(_digests(base)),
    }
    return found if base.file is None else found | {"hashes": _hashes(base.file)}


def _history(predicate: Predicate) -> str:
    method = predicate.method
    how = "in a way that is not recorded" if method is None else f"by the method {method.name}"
    return f"Derived from the original by unlearning {how}."


def _digests(network: NetworkDigests) -> dict[str, object]:
    return {"obliq:weights-sha256": network.weights, "obliq:content-sha256": network.content}


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _properties(values: Mapping[str, object]) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in values.items() if value is not None]


def _range(low: float | None, high: float | None) -> str | None:
    if low is None:
        return None if high is None else f"at most {_number(high)}"
    return f"at least {_number(low)}" if high is None else f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:.6g}"
