"""`obliq certificate`: from an audit and the files that ship to a certificate, which anyone checks offline."""

import base64
import dataclasses
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")

import obliq as library
from obliq.auditing import Audit
from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.checkpoints.folder import LATENT_FILE, NETWORK_DOCUMENT, SOURCE_FILE
from obliq.checkpoints.run_folder import TRACE_FILE
from obliq.data.request_file import REQUEST_FILE
from obliq.io.ownership import FILES_RECORD, record_files
from obliq.patch.encryption import seal
from obliq.record.certificate.envelope import parse_envelope
from obliq.record.certificate.model_signature import NOT_SHIPPED
from obliq.record.certificate.statement import SUMMARY_TYPE
from obliq.record.certificate.verify import FOLDER_FILES, sha256_of_file
from obliq.workflow.last_audit import LAST_AUDIT_DOCUMENT, VERDICT_FILE, LastAudit
from tests.auditing.synthetic import shipped as shipped_entry
from tests.cli.conftest import Said, obliq  # noqa: F401 - a fixture
from tests.cli.refusals import refused
from tests.record.certificate.cases import write_audit, write_case
from tests.test_start_up import loaded_by

Obliq = Callable[..., Said]
SEAL = bytes(range(32))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks, files, keys and two audits: one that passes, and one that does not."""
    folder = tmp_path_factory.mktemp("case")
    write_case(folder)
    write_audit(folder / "audit", surety=2.0, case="DSR-1", operator="A. Example")
    write_audit(folder / "remembered", surety=4.0)
    return folder


def words(case: Path, out: Path, *more: object, audit: str = "audit") -> tuple[object, ...]:
    """What makes a certificate of the exported file."""
    return (
        *("certificate", "make", case / audit, "--shipped", case / "unlearned.onnx"),
        *("--key", case / "private.pem", "--out", out, *more),
    )


@pytest.fixture(scope="module")
def made(case: Path) -> Path:
    """A certificate that passes."""
    library.make_certificate(
        case / "audit",
        case / "unlearned.onnx",
        case / "case.cert.json",
        keys=case / "private.pem",
        patch=case / "forget.patch",
    )
    return case / "case.cert.json"


def statement(file: Path) -> dict[str, object]:
    """What an envelope holds."""
    found: dict[str, object] = json.loads(parse_envelope(file.read_bytes()).payload)
    return found


def test_a_verdict_that_passes(case: Path, made: Path, obliq: Obliq) -> None:  # noqa: F811
    verify = ("certificate", "verify", made, "--key", case / "private-public.pem", "--file")
    said = obliq(*verify, case / "unlearned.onnx", case / "forget.patch", "--json")
    assert (said.status, said.err) == (0, "")
    values = json.loads(said.out)
    assert values["checked"] == ["unlearned.onnx", "forget.patch"]
    stated = values["predicate"]
    assert (stated["case"], stated["operator"]) == ("DSR-1", "A. Example")
    assert stated["times"]["unlearned"] == "2026-01-13T09:00:00Z"
    assert (stated["method"]["name"], stated["method"]["retain_data"]) == ("fine-tune", "retain set")
    assert (stated["patch"]["sequence"], stated["patch"]["result"]) == (3, stated["result"]["content"])
    assert (stated["request"], stated["partition"]) == ({"digest": "b" * 64, "joined": 2}, "0" * 64)
    (earlier,) = stated["earlier"]
    assert (earlier["digest"], earlier["method"]) == ("e" * 64, "fine-tune")
    assert (stated["audit"]["verdict"], stated["audit"]["measured"]) == ("INDISTINGUISHABLE", "network")
    assert stated["error_rates"]["retrained"] == 4
    for_people = obliq(*verify, case / "unlearned.onnx")
    assert "forget.patch is certified, too, and was not checked" in for_people.out
    assert "requests  2 requests together; 1 earlier, which the result answers, too" in for_people.out
    assert "not covered:" in for_people.out


def test_the_summary_for_generic_tools(case: Path, made: Path, obliq: Obliq) -> None:  # noqa: F811
    summary = case / "case.cert.svr.json"
    found, whole = statement(summary), statement(made)
    assert found["predicateType"] == SUMMARY_TYPE
    assert found["subject"] == whole["subject"]
    predicate = found["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["verifier"] == {"id": "urn:obliq:auditor:v5", "policies": []}
    assert predicate["properties"] == ["OBLIQ_INDISTINGUISHABLE"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", predicate["timeCreated"])
    key, file = case / "private-public.pem", case / "unlearned.onnx"
    said = obliq("certificate", "verify", summary, "--file", file, "--key", key)
    assert (said.status, "predicateType is" in said.err) == (1, True)


def test_a_verdict_that_its_numbers_contradict(case: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    forged = tmp_path / "forged"
    shutil.copytree(case / "remembered", forged)
    file = forged / "audit.json"
    named = ("--case", "DSR-2", "--operator", "B. Example", "--network", case / "unlearned")
    make = words(case, tmp_path / "case.cert.json", *named, audit=str(forged))
    written = file.read_text()
    file.write_text(written.replace('"REMEMBERED"', '"INDISTINGUISHABLE"'))
    said = obliq(*make)
    assert said.status == 1
    assert "INDISTINGUISHABLE, and its numbers lead to REMEMBERED" in said.err
    file.write_text(written)
    record_files(forged)
    file.write_text(written + "\n")
    said = obliq(*make)
    assert (said.status, "it is not what files.json next to it records" in said.err) == (1, True)
    file.write_text(written)
    assert obliq(*make).status == 0


def test_a_verdict_that_does_not_pass(case: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    out = tmp_path / "case.cert.json"
    named = ("--case", "DSR-2", "--operator", "B. Example", "--count")
    assert obliq(*words(case, out, *named, audit="remembered")).status == 0
    assert [file.name for file in tmp_path.iterdir()] == ["case.cert.json"]
    said = obliq(
        *("certificate", "verify", out, "--file", case / "unlearned.onnx"),
        *("--key", case / "private-public.pem"),
    )
    assert said.status == 3
    assert said.err.startswith("obliq: not met: the certificate is valid, but the verdict is ")
    predicate = statement(out)["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["request"]["count"] == 100
    assert "reason" in predicate["audit"]


def test_numbers_that_tell_how_many_are_left_out_unless_wanted(made: Path) -> None:
    predicate = statement(made)["predicate"]
    assert isinstance(predicate, dict)
    assert "reason" not in predicate["audit"]
    assert {one["statistic"] for one in predicate["audit"]["evidence"]} & {
        "forget_accuracy",
        "class_accuracy",
    } == set()


def test_a_stale_summary_is_not_left_beside_a_verdict_that_does_not_pass(
    case: Path,
    tmp_path: Path,
    obliq: Obliq,  # noqa: F811
) -> None:
    out = tmp_path / "c.json"
    assert obliq(*words(case, out)).status == 0
    assert "exists already" in obliq(*words(case, out)).err
    before = out.read_bytes()
    said = obliq(*words(case, out, "--overwrite", "--case", "1", "--operator", "B", audit="remembered"))
    assert (said.status, "states that an earlier verdict passed" in said.err) == (1, True)
    assert out.read_bytes() == before


def test_elliptic_keys_two_signers_and_a_model_signature(
    case: Path,
    tmp_path: Path,
    obliq: Obliq,  # noqa: F811
) -> None:
    out, signature = tmp_path / "case.json", tmp_path / "case.sig"
    assert obliq(*words(case, out), case / "elliptic.pem").status == 2  # an option takes its values at once
    refused(obliq(*words(case, out, "--model-signature", signature)), "0 keys are ECDSA P-256")
    keys = ("--key", case / "private.pem", case / "elliptic.pem")
    make = ("certificate", "make", case / "audit", "--shipped", case / "unlearned.onnx", *keys, "--out", out)
    refused(obliq(*make, "--model-signature", out), "would be written twice")
    assert list(tmp_path.iterdir()) == []
    refused(obliq(*make, "--model-signature", case / "unlearned.onnx", "--overwrite"), "would be replaced")
    bom = tmp_path / "case.cdx.json"
    refused(obliq(*make, "--model-signature", bom, "--bom", bom), "would be written twice")
    made = obliq(*make, "--model-signature", signature, "--bom", bom)
    assert (made.status, f"model signature in {signature}" in made.out) == (0, True)
    require_bill_of_materials(bom, out, case / "unlearned.onnx", case)
    verify = ("certificate", "verify", out, "--file", case / "unlearned.onnx", "--key")
    assert obliq(*verify, case / "private-public.pem", case / "elliptic-public.pem").status == 0
    assert "of all 2 signers" in obliq(*verify, case / "elliptic-public.pem").err
    assert obliq(*verify, case / "elliptic-public.pem", "--conformant").status == 0
    require_model_signature(signature, case, case / "unlearned.onnx", obliq)
    namesake = tmp_path / "patches" / "unlearned.onnx"
    namesake.parent.mkdir()
    shutil.copy(case / "forget.patch", namesake)
    refused(obliq(*make, "--patch", namesake, "--overwrite"), "with different names")
    check = (out, "--key", case / "elliptic-public.pem", "--file", case / "unlearned.onnx")
    refused(obliq("certificate", "verify", *check, "--model-signature"), "checked without --model-signature")


def require_model_signature(signature: Path, case: Path, ships: Path, obliq: Obliq) -> None:  # noqa: F811
    """It is valid for what ships alone, also for the public verifier where it is there, and names nobody."""
    verify = ("certificate", "verify", signature, "--key", case / "elliptic-public.pem", "--file")
    refused(obliq(*verify, ships), "is a signature of OpenSSF Model Signing", "or --model-signature")
    said = obliq(*verify, ships, "--model-signature")
    assert (said.status, "states nothing about the verdict" in said.out) == (0, True)
    assert "no others" not in said.out, "the folder holds files that do not ship"
    refused(obliq(*verify, case / "original.onnx", "--model-signature"), "is signed and not there")
    stated = base64.b64decode(json.loads(signature.read_text())["dsseEnvelope"]["payload"]).decode()
    assert not [word for word in ("DSR-1", "Example", str(case), "b" * 64) if word in stated]
    if importlib.util.find_spec("model_signing"):  # has 35 dependencies, so the extra dev leaves it out
        if ships.is_file():  # it takes a single file only in a folder, as it would call the file itself `.`
            folder = signature.parent / "shipped"
            folder.mkdir()
            ships = shutil.copy(ships, folder).parent
        options = ("--signature", signature, "--public_key", case / "elliptic-public.pem", ships)
        command = [sys.executable, "-m", "model_signing", "verify", "key", *map(str, options)]
        assert subprocess.run(command, check=False, capture_output=True).returncode == 0


def require_bill_of_materials(bom: Path, certificate: Path, ships: Path, case: Path) -> None:
    """It has the shipped files, the original as ancestor and the certificate by their digests, and names nobody."""
    text, stated = bom.read_text(), statement(certificate)["predicate"]
    assert isinstance(stated, dict)
    found = json.loads(text)["metadata"]["component"]
    files = [ships / name for name in FOLDER_FILES] if ships.is_dir() else [ships]
    listed = found["components"] if ships.is_dir() else [found]
    assert [one["hashes"][0]["content"] for one in listed] == list(map(sha256_of_file, files))
    (ancestor,) = found["pedigree"]["ancestors"]
    assert {"name": "obliq:weights-sha256", "value": stated["base"]["weights"]} in ancestor["properties"]
    (reference,) = found["externalReferences"]
    assert reference["hashes"][0]["content"] == sha256_of_file(certificate)
    metrics = found["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [one["type"] for one in metrics] == [one["statistic"] for one in stated["audit"]["evidence"]]
    assert not [word for word in ("DSR-1", "Example", str(case), stated["request"]["digest"]) if word in text]
    if importlib.util.find_spec("cyclonedx") and importlib.util.find_spec("jsonschema"):
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_an_older_audit_in_place_of_a_refusal(case: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    network = tmp_path / "unlearned"
    shutil.copytree(case / "unlearned", network)
    digest = NETWORK_DOCUMENT.read(network / "model.json").weights_digest
    last = LastAudit(digest=digest, verdict="REMEMBERED", audited="2026-01-20T10:00:00+00:00")
    LAST_AUDIT_DOCUMENT.write(network / VERDICT_FILE, last, overwrite=True)
    make = words(case, tmp_path / "c.json", "--network", network)
    refused(
        obliq(*make), "found REMEMBERED, and the given one has INDISTINGUISHABLE", "expected the last audit"
    )


def test_a_folder_that_ships(case: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    assert FOLDER_FILES == ("model.json", "model.safetensors")
    out, signature = tmp_path / "case.json", tmp_path / "case.sig"
    keys = ("--key", case / "private.pem", case / "elliptic.pem")
    make = ("certificate", "make", case / "audit", "--shipped", case / "unlearned", *keys, "--out", out)
    bom = tmp_path / "case.cdx.json"
    assert obliq(*make, "--model-signature", signature, "--bom", bom).status == 0
    require_bill_of_materials(bom, out, case / "unlearned", case)
    verify = (
        "certificate",
        "verify",
        out,
        "--key",
        case / "private-public.pem",
        case / "elliptic-public.pem",
        "--file",
    )
    said = obliq(*verify, case / "unlearned", "--json")
    assert json.loads(said.out)["checked"] == ["unlearned/model.json", "unlearned/model.safetensors"]
    assert "is no file of" in obliq(*verify, case / "original").err
    require_model_signature(signature, case, case / "unlearned", obliq)
    require_folder_alone(case, tmp_path, obliq)


def require_folder_alone(case: Path, folder: Path, obliq: Obliq) -> None:  # noqa: F811
    """A signature of a folder publishes no name in it, is not broken by what is written, and states what it leaves."""
    ships, signature = (
        shutil.copytree(case / "unlearned", folder / "unlearned"),
        folder / "unlearned" / "a.sig",
    )
    signed = ("--key", case / "elliptic.pem", "--model-signature", signature)
    make = ("certificate", "make", case / "audit", "--shipped", ships, *signed, "--out")
    refused(obliq(*make, ships / "a.json"), "a.json would lie in", "expected a place outside")
    kept = {file.name for file in ships.iterdir()} - {*FOLDER_FILES}
    assert kept, "the folder holds files that do not ship"
    assert (
        tuple(sorted((FILES_RECORD, LATENT_FILE, REQUEST_FILE, SOURCE_FILE, TRACE_FILE, VERDICT_FILE)))
        == NOT_SHIPPED
    )
    (ships / "erasure-of-A-NAME.pdf").touch()
    refused(obliq(*make, folder / "a.json"), 'also holds "erasure-of-A-NAME.pdf"', "in a folder of their own")
    assert not signature.exists()
    (ships / "erasure-of-A-NAME.pdf").unlink()
    assert obliq(*make, folder / "a.json").status == 0
    check = ("--key", case / "elliptic-public.pem", "--file", ships, "--model-signature", "--json")
    said = json.loads(obliq("certificate", "verify", signature, *check).out)
    assert said["left_out"] == sorted({*kept, "a.sig"})
    assert "no others" not in obliq("certificate", "verify", signature, *check[:-1]).out


def test_an_encrypted_patch(case: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    patch, key = tmp_path / "forget.patch", tmp_path / "fleet.key"
    patch.write_bytes(seal((case / "forget.patch").read_bytes(), SEAL))
    key.write_bytes(SEAL)
    key.chmod(0o600)
    make = words(case, tmp_path / "case.json", "--patch", patch)
    assert "it is encrypted; expected --patch-key FILE" in obliq(*make).err
    assert obliq(*make, "--patch-key", key).status == 0
    predicate = statement(tmp_path / "case.json")["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["patch"]["encrypted"] is True


def test_an_audited_file_is_certified_as_such(case: Path, tmp_path: Path) -> None:
    """Where the audit ran the file itself, its verdict is that of the file."""
    audit = AUDIT_DOCUMENT.read(case / "audit" / "audit.json")
    digests = library.make_certificate(
        case / "audit", case / "unlearned.onnx", tmp_path / "first.json", keys=case / "private.pem"
    ).predicate.result
    artifact = shipped_entry().artifact
    assert artifact is not None
    assert digests.content is not None
    assert digests.file is not None
    artifact = dataclasses.replace(artifact, content_digest=digests.content, file_digest=digests.file)
    network = audit.entries[1]
    entry = dataclasses.replace(network, name="file", weights_digest=None, artifact=artifact)
    both = dataclasses.replace(audit, entries=(*audit.entries[:2], entry, *audit.entries[2:]))
    stated = certified(case, tmp_path, both)
    assert (stated.predicate.audit.measured, stated.predicate.audit.runtime) == ("file", "a runtime 1.0")
    assert stated.predicate.audit.candidates == 2
    alone = dataclasses.replace(entry, artifact=dataclasses.replace(artifact, network=None))
    stated = certified(
        case, tmp_path, dataclasses.replace(audit, entries=(audit.entries[0], alone, audit.entries[-1]))
    )
    assert stated.predicate.method is None
    assert stated.predicate.result.weights is None


def certified(case: Path, folder: Path, audit: Audit) -> library.VerifiedCertificate:
    """The certificate of the exported file by another audit."""
    (folder / "audit").mkdir(exist_ok=True)
    AUDIT_DOCUMENT.write(folder / "audit" / "audit.json", audit, overwrite=True)
    shutil.copytree(case / "unlearned", folder / "unlearned", dirs_exist_ok=True)
    return library.make_certificate(
        folder / "audit",
        case / "unlearned.onnx",
        folder / "c.json",
        keys=case / "private.pem",
        overwrite=True,
    )


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "the original": (("--shipped", "{}/original.onnx"), "is no result of this audit (unlearned)"),
    "no network": (("--network", "{}/original"), "whose folder --network names"),
    "no file": (("--shipped", "{}/nothing.onnx"), "cannot be read"),
    "no audit": (("--shipped", "{}/unlearned.onnx", "{}/original"), "audit.json: cannot be read"),
    "another case": (("--case", "DSR-2"), "the audit states 'DSR-1'"),
    "a public key": (("--key", "{}/private-public.pem", "--allow-readable-key"), "this is a public key"),
    "no patch": (("--patch", "{}/unlearned.onnx"), "not a patch"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_pieces_that_do_not_belong_together(
    name: str,
    case: Path,
    tmp_path: Path,
    obliq: Obliq,  # noqa: F811
) -> None:
    given, message = REFUSED[name]
    changed = [word.format(case) for word in given]
    audit = changed.pop() if len(changed) % 2 and changed[-1][0] == "/" else str(case / "audit")
    defaults = {"--shipped": case / "unlearned.onnx", "--key": case / "private.pem"}
    rest = [word for option, value in defaults.items() if option not in changed for word in (option, value)]
    said = obliq("certificate", "make", audit, *rest, *changed, "--out", tmp_path / "c.json")
    assert (said.status, said.err.count("\n")) == (1, 1), said.err
    assert message in said.err
    assert list(tmp_path.iterdir()) == []


def test_without_a_case_or_a_key(case: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    out = tmp_path / "c.json"
    neither = obliq(*words(case, out, audit="remembered")).err
    assert "no case is given, and the audit states none" in neither
    assert (
        "no operator is given, and the audit states none; expected --case TEXT and --operator TEXT" in neither
    )
    make = ("certificate", "make", case / "audit", "--shipped", case / "unlearned.onnx", "--out", out)
    assert "expected --key private.pem" in obliq(*make).err
    (case / "private.pem").chmod(0o644)
    assert "or --allow-readable-key" in obliq(*words(case, out)).err
    (case / "private.pem").chmod(0o600)
    assert list(tmp_path.iterdir()) == []


def test_another_file_and_another_key_are_refused(case: Path, made: Path, obliq: Obliq) -> None:  # noqa: F811
    verify = ("certificate", "verify", made)
    key, file = ("--key", case / "private-public.pem"), ("--file", case / "unlearned.onnx")
    replayed = obliq(*verify, *key, "--file", case / "original.onnx")
    assert (replayed.status, "is no file of" in replayed.err) == (1, True)
    # every file that is given must be one of the certificate's
    assert obliq(*verify, *key, *file, case / "original.onnx").status == 1
    for wrong, message in (
        (("--key", case / "other-public.pem"), "did not sign this"),
        (("--key", case / "private.pem"), "this is a private key"),
        (("--key", case / "missing.pem"), "cannot be read"),
        ((), "expected --file SHIPPED and --key PUBLIC.pem"),
    ):
        said = obliq(*verify, *file, *wrong)
        assert (said.status, message in said.err) == (1, True), said.err
    assert "expected --file SHIPPED" in obliq(*verify, *key).err


def test_verifying_needs_neither_torch_nor_numpy(case: Path, made: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    check = f"--file {case / 'unlearned.onnx'} --key {case / 'private-public.pem'}"
    lines = [
        "from obliq.cli import main",
        f"assert main('certificate page {made} --out {page}'.split()) == 0",
        *(f"assert main('certificate verify {file} {check}'.split()) == 0" for file in (made, page)),
        "import obliq; obliq.verify_certificate",
    ]
    assert (
        loaded_by("\n".join(lines), "torch", "numpy", "scipy", "sklearn", "matplotlib", "obliq.patch") == []
    )
