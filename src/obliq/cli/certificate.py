"""`obliq certificate make`, `verify` and `page`: what was done and measured, signed, and checked by anyone."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from obliq.cli.options import Architecture, File, Flag, Folder, OutputOptions, Overwrite
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import CertificateError, ObliqError

if TYPE_CHECKING:
    from obliq.io.keys import PrivateKey
    from obliq.record.certificate.verify import VerifiedCertificate

Keys = Annotated[
    tuple[Path, ...],
    tyro.conf.arg(metavar="FILE [FILE ...]", aliases=["--sign"], help_behavior_hint="(required)"),
]
PublicKeys = Annotated[
    tuple[Path, ...], tyro.conf.arg(metavar="FILE [FILE ...]", help_behavior_hint="(required)")
]
Files = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE [FILE ...]", help_behavior_hint="(required)")]
Out = Annotated[Path, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True, kw_only=True)
class CertificateMakeArguments:
    """Sign what was done and measured, for the files that ship.

    Example: obliq certificate make runs/audit --shipped unlearned.onnx --key private.pem --out case.cert.json

    Every verdict can be certified, also one that does not pass. Where it passes, OUT.svr.json states so in one word
    for generic tools (in-toto SVR). Create a key once with: openssl genpkey -algorithm ed25519 -out private.pem

    Attributes:
        audit: Folder of the audit, with audit.json.
        shipped: What devices run: the exported file that was audited, or that was exported from an audited network; or
            the folder of a saved network.
        patch: The patch that leads devices to it.
        patch_key: The 32 bytes that the patch was encrypted with, in a file that only you may read and write.
        key: Your private key as PEM, Ed25519 or ECDSA P-256, in a file that only you may read and write. Several people
            can sign.
        allow_readable_key: Use a key although others may read or write its file.
        case: Number under which the request is handled; needed if the audit does not state it. It should contain no
            name.
        operator: Who answers for the request; needed if the audit does not name one.
        count: State how many samples were to be forgotten. Few samples can identify a person.
        network: Folder of the network that the file was exported from. By default it is found by its digest next to the
            audit or the file.
        out: New file for the certificate.
        model_signature: Also write a signature of what ships in this new file, in the form of OpenSSF Model Signing
            v1.0 (a Sigstore bundle). It states nothing about the verdict. One key must be ECDSA P-256.
        bom: Also write a bill of materials of what ships in this new file, with the original as its ancestor (CycloneDX
            1.6). It names no case and nobody.
    """

    audit: tyro.conf.Positional[Path]
    shipped: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    patch: File = None
    patch_key: File = None
    key: Keys = ()
    allow_readable_key: Flag = False
    case: str = ""
    operator: str = ""
    count: Flag = False
    network: Folder = None
    out: Out
    model_signature: File = None
    bom: File = None
    overwrite: Overwrite = False
    arch: Architecture = None
    output: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, kw_only=True)
class CertificateVerifyArguments:
    """Check a certificate against a file, offline.

    Example: obliq certificate verify case.cert.json --file unlearned.onnx --key public.pem

    Exit status: 0 the certificate is valid, and its verdict is INDISTINGUISHABLE; 1 it is not valid for this file and
    key; 3 it is valid, but its verdict does not pass. With --model-signature, 0 states nothing about the verdict.

    Attributes:
        certificate: The certificate, or its page; with --model-signature, the signature.
        file: What ships. Every file given must be one that the certificate names by digest.
        key: Public key of the signer as PEM. All keys given must have signed. Get it from the signer by another channel
            than the certificate.
        conformant: Accept all that the standards (DSSE, in-toto) let a verifier accept, such as unknown fields and
            signatures by further keys.
        model_signature: Check a signature of OpenSSF Model Signing in place of a certificate, for one --file (a file or
            folder) and one --key. It states which files were signed, and nothing about the verdict.
    """

    certificate: tyro.conf.Positional[Path]
    file: Files = ()
    key: PublicKeys = ()
    conformant: Flag = False
    model_signature: Flag = False
    output: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, kw_only=True)
class CertificatePageArguments:
    """Write a certificate as one page to read and print.

    Example: obliq certificate page case.cert.json --out case.html

    The page contains the certificate, and `obliq certificate verify` accepts the page in its place. It loads nothing
    and runs no scripts. This verb checks no signature.

    Attributes:
        certificate: The certificate, or a page of it, from which a new page is written.
        out: New file for the page.
    """

    certificate: tyro.conf.Positional[Path]
    out: Out
    overwrite: Overwrite = False
    output: OutputOptions = field(default_factory=OutputOptions)


def run_make(arguments: CertificateMakeArguments, progress: StageListener) -> VerbOutput:
    """Collect what a certificate states, sign it and write it."""
    from obliq.cli.patch_files import encryption_key
    from obliq.record.certificate.make import make_certificate, summary_file

    if not arguments.key:
        raise CertificateError(
            "no key; expected --key private.pem (openssl genpkey -algorithm ed25519 -out private.pem)"
        )
    keys = [_private_key(file, allow_others=arguments.allow_readable_key) for file in arguments.key]
    made = make_certificate(
        arguments.audit,
        arguments.shipped,
        arguments.out,
        keys=keys,
        patch=arguments.patch,
        patch_key=encryption_key(arguments.patch_key, allow_others=arguments.allow_readable_key),
        case=arguments.case,
        operator=arguments.operator,
        count=arguments.count,
        network=arguments.network,
        architecture=arguments.arch,
        model_signature=arguments.model_signature,
        bom=arguments.bom,
        overwrite=arguments.overwrite,
    )
    summary = summary_file(arguments.out) if made.passes else None
    predicate, against = made.predicate, ("--file", arguments.shipped, "--key", "PUBLIC.pem")
    return VerbOutput(
        lines=[
            f"certificate in {arguments.out}: case {predicate.case}, {predicate.audit.verdict}",
            *([f"summary for generic tools in {summary}"] if summary else []),
            *([f"model signature in {arguments.model_signature}"] if arguments.model_signature else []),
            *([f"bill of materials in {arguments.bom}"] if arguments.bom else []),
            *(f"signed with the {key.algorithm} key {key.fingerprint}" for key in made.signers),
        ],
        values={
            "out": str(arguments.out),
            "summary": str(summary) if summary else None,
            "model_signature": str(arguments.model_signature) if arguments.model_signature else None,
            "bom": str(arguments.bom) if arguments.bom else None,
            "verdict": predicate.audit.verdict,
            "passes": made.passes,
            "keys": [key.fingerprint for key in made.signers],
            "subjects": {one.name: one.sha256 for one in made.subjects},
        },
        next_command=("certificate", "verify", arguments.out, *against),
    )


def run_verify(arguments: CertificateVerifyArguments, progress: StageListener) -> VerbOutput:
    """Check signature and files; print what the certificate states."""
    from obliq.io.strict_json import encode
    from obliq.record.certificate.certified_audit import PASSING
    from obliq.record.certificate.verify import verify_certificate
    from obliq.record.certificate.verify_model import is_model_signature

    if not arguments.file or not arguments.key:
        raise CertificateError(
            "expected --file SHIPPED and --key PUBLIC.pem, to check the certificate against"
        )
    if arguments.model_signature:
        return _model_verified(arguments)
    try:
        found = verify_certificate(
            arguments.certificate, arguments.file, arguments.key, conformant=arguments.conformant
        )
    except CertificateError as error:
        if not is_model_signature(arguments.certificate):
            raise
        raise CertificateError(
            f"{arguments.certificate} is a signature of OpenSSF Model Signing, which states nothing about the verdict; "
            "expected the certificate, or --model-signature to check which files were signed"
        ) from error
    verdict, device = found.predicate.audit.verdict, found.predicate.audit.device_verdict
    refused = f"the verdict is {verdict}" + (f", and on the device {device}" if device else "")
    return VerbOutput(
        lines=_stated(found),
        values={
            "valid": True,
            "passes": found.passes,
            "checked": list(found.checked),
            "keys": [key.fingerprint for key in found.signers],
            "subjects": {one.name: one.sha256 for one in found.subjects},
            "predicate": encode(found.predicate),
        },
        next_command=()
        if arguments.certificate.suffix == ".html"
        else ("certificate", "page", arguments.certificate, "--out", "certificate.html"),
        unmet="" if found.passes else f"the certificate is valid, but {refused}; expected {PASSING}",
    )


def _model_verified(arguments: CertificateVerifyArguments) -> VerbOutput:
    """Check a signature of OpenSSF Model Signing."""
    from obliq.record.certificate.verify_model import verify_model_file

    if (len(arguments.file), len(arguments.key)) != (1, 1):
        raise CertificateError(
            f"{arguments.certificate} signs one model with one key; expected one --file (or folder) and one --key"
        )
    if arguments.conformant:
        raise CertificateError(
            "--conformant and --model-signature together; expected --conformant for certificates"
        )
    found = verify_model_file(arguments.certificate, arguments.file[0], arguments.key[0])
    alone = ", and the folder holds no others" * (arguments.file[0].is_dir() and not found.left_out)
    return VerbOutput(
        lines=[
            f"valid: the holder of the key signed {'this file' if len(found.files) == 1 else 'these files'}{alone}",
            *(f"file      {name}" for name in found.files),
            *(f"unsigned  {name}, which is there and was left out" for name in found.left_out),
            "it states nothing about the verdict or what was forgotten; the certificate does",
        ],
        values={"valid": True, "checked": list(found.files), "left_out": list(found.left_out)},
    )


def run_page(arguments: CertificatePageArguments, progress: StageListener) -> VerbOutput:
    """Write the page of a certificate."""
    from obliq.io.atomic import refuse_existing_file, write_file
    from obliq.record.certificate.page import read_certificate_text, render_certificate_page

    refuse_existing_file(arguments.out, overwrite=arguments.overwrite)
    page = render_certificate_page(read_certificate_text(arguments.certificate))
    write_file(arguments.out, page, overwrite=arguments.overwrite)
    return VerbOutput(
        lines=[f"page in {arguments.out}; its signature was not checked"],
        values={"out": str(arguments.out)},
        next_command=("certificate", "verify", arguments.out, "--file", "SHIPPED", "--key", "PUBLIC.pem"),
    )


def _stated(found: "VerifiedCertificate") -> list[str]:
    """What a valid certificate states, in lines."""
    predicate = found.predicate
    audit = predicate.audit
    unchecked = [one.name for one in found.subjects if one.name not in found.checked]
    against = f"{audit.retrained} retrained network{'s' * (audit.retrained != 1)}"
    answered = []
    if predicate.request.joined:
        answered.append(f"{predicate.request.joined} requests together")
    if predicate.earlier:
        answered.append(f"{predicate.earlier_requests} earlier, which the result answers, too")
    return [
        *(
            f"valid: signed by the holder of the {key.algorithm} key {key.fingerprint}"
            for key in found.signers
        ),
        *(f"file      {name}, the one that was certified" for name in found.checked),
        *(f"          {name} is certified, too, and was not checked (--file)" for name in unchecked),
        f"case      {predicate.case}, by {predicate.operator}, issued {predicate.times.issued}",
        *([f"requests  {'; '.join(answered)}"] if answered else []),
        f"verdict   {audit.verdict}, against {against} (the {audit.measured} was measured)",
        *([f"device    {audit.device_verdict}"] if audit.device_verdict else []),
        f"method    {predicate.method.name if predicate.method else 'not recorded'}",
        "not covered:",
        *(f"  {limit.text}" for limit in predicate.not_covered),
    ]


def _private_key(file: Path, *, allow_others: bool) -> "PrivateKey":
    from obliq.record.certificate.make import read_private_key

    try:
        return read_private_key(file, allow_others=allow_others)
    except ObliqError as error:
        option = ", or --allow-readable-key" if "others may" in str(error) else ""
        raise CertificateError(f"{error}{option}") from error


VERBS = {
    "certificate make": Verb(CertificateMakeArguments, run_make),
    "certificate verify": Verb(CertificateVerifyArguments, run_verify, computes=False),
    "certificate page": Verb(CertificatePageArguments, run_page, computes=False),
}
