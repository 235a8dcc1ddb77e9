"""`obliq demo`: everything once, on real data, in about two minutes."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from obliq.cli.options import ComputeOptions, OutputOptions, Overwrite
from obliq.cli.verbs import StageListener, Verb, VerbOutput


@dataclass(frozen=True, kw_only=True)
class DemoArguments:
    """Forget one writer of handwritten digits, in one to two minutes.

    Example: obliq demo --out demo

    It trains a 4-bit network on scikit-learn's digits, forgets one writer, retrains without that writer for comparison,
    and writes an audit, a report, an ONNX file (extra `onnx`) and a patch. It uses one thread unless --threads states
    another number, because more threads round sums differently and can end with another verdict.

    Attributes:
        out: New folder for the results. It is created when they are complete.
    """

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("demo")
    overwrite: Overwrite = False
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_demo(arguments: DemoArguments, progress: StageListener) -> VerbOutput:
    """Train, unlearn, retrain, audit, export and patch."""
    from obliq.cli.computation import start_run
    from obliq.cli.next_command import free_name
    from obliq.cli.output import audit_output, release_lines
    from obliq.io.atomic import refuse_existing_folder
    from obliq.io.strict_json import encode
    from obliq.workflow import demo

    out = arguments.out
    refuse_existing_folder(out, overwrite=arguments.overwrite)
    run = start_run(replace(arguments.compute, threads=arguments.compute.threads or 1), progress)
    result = demo.demonstrate(out, run, progress.stage, overwrite=arguments.overwrite)
    audited = audit_output(result.audit, out, ())
    progress.stage("signing a certificate")
    file = out / result.shipped.shipment.file
    missing = _certify(out, file)
    certificate, key = out / CERTIFICATE, out / PUBLIC_KEY
    lines = [
        f"certificate: {certificate}, to read: {out / PAGE}",
        f"  signed with a key of this demo, which is not kept; it is verified with {key}",
    ]
    train = ("train", "digits", "--out", free_name(Path("runs/original"), "original"))
    verify = ("certificate", "verify", certificate, "--file", file, "--key", key)
    return VerbOutput(
        lines=[
            *audited.lines,
            "Unlearning saves time only where training is long. Here, training takes seconds.",
            *release_lines(result.shipped, out),
            *([f"no certificate: {missing}"] if missing else lines),
        ],
        values={
            **audited.values,
            "shipped": encode(result.shipped),
            "certificate": None if missing else str(certificate),
        },
        next_command=train if missing else verify,
    )


CERTIFICATE, PAGE, PUBLIC_KEY = "certificate.json", "certificate.html", "public.pem"


def _certify(out: Path, shipped: Path) -> str:
    """Sign what the demo did with a new key that is dropped; why there is no certificate, in one line, or nothing."""
    from obliq.errors import ObliqError
    from obliq.io.atomic import write_files
    from obliq.io.keys import create_private_key
    from obliq.io.ownership import record_file
    from obliq.record.certificate.collect import collect_certificate
    from obliq.record.certificate.make import sign_certificate, summary_file
    from obliq.record.certificate.page import render_certificate_page
    from obliq.workflow.release import PATCH

    try:
        key = create_private_key()
    except ObliqError as missing:
        return str(missing)
    stated = collect_certificate(out, shipped, patch=out / PATCH, case="DEMO", operator="obliq demo")
    signed = sign_certificate(*stated, [key])
    files = {
        out / PUBLIC_KEY: key.public.pem,
        out / CERTIFICATE: signed.certificate.encode(),
        out / PAGE: render_certificate_page(signed.certificate.encode()).encode(),
    }
    if signed.summary is not None:
        files[summary_file(out / CERTIFICATE)] = signed.summary.encode()
    for file, content in files.items():
        record_file(out, file.name, content)  # first: --overwrite replaces only what is recorded
    write_files(dict(files))
    return ""


VERB = Verb(DemoArguments, run_demo)
