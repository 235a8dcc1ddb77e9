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
    return VerbOutput(
        lines=[*audited.lines, *release_lines(result.shipped, out)],
        values={**audited.values, "shipped": encode(result.shipped)},
        next_command=("train", "digits", "--out", free_name(Path("runs/original"), "original")),
    )


VERB = Verb(DemoArguments, run_demo)
