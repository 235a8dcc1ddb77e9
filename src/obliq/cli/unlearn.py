"""The verb that makes a network forget: one in a folder, or one of which only a shipped file is left."""

import dataclasses

from obliq.cli.arguments import Division, Unlearn
from obliq.cli.audit_files import data_of, is_file, rule_of
from obliq.cli.progress import Narrator
from obliq.cli.verbs import Outcome, forgotten, started
from obliq.data import load_dataset, partition
from obliq.errors import DataError
from obliq.exporting import open_shipped, sha256_of
from obliq.io.atomic import refuse_existing_folder
from obliq.methods import OEU
from obliq.workflow.pipeline import create_request
from obliq.workflow.unlearn_file import save_unlearned_file, unlearn_file


def run_unlearn(arguments: Unlearn, narrator: Narrator) -> Outcome:
    """Apply a method."""
    if is_file(arguments.original):
        return _in_file(arguments, narrator)
    if arguments.division != Division():
        raise DataError(
            f"{arguments.original} is a folder, which knows how its data were divided; expected no division"
        )
    return forgotten(arguments, lambda original: arguments.method, narrator)


def _in_file(arguments: Unlearn, narrator: Narrator) -> Outcome:
    """Integers in, integers out."""
    result = arguments.result
    refuse_existing_folder(result.out, overwrite=result.overwrite)
    data = data_of(arguments.original, arguments.data)
    run = started(arguments.run, narrator)
    shipped = open_shipped(arguments.original)
    parts = partition(load_dataset(data, arguments.data_folder), rule_of(arguments.division))
    splits, request = create_request(parts, arguments.forget, run.seed)
    method = arguments.method
    if isinstance(method, OEU):
        method = dataclasses.replace(method, steps="frozen")  # a file's scales are the device's
    narrator.stage(f"forgetting {len(splits.forget)} samples, keeping {len(splits.retain)}")
    found = unlearn_file(shipped, splits, request, method, run)
    save_unlearned_file(result.out, found, overwrite=result.overwrite)
    values = {
        "file": str(result.out / found.name),
        "role": found.provenance.role,
        "counts": found.provenance.counts,
        "seconds": round(found.provenance.seconds, 3),
        "file_digest": sha256_of(found.content),
        "changed_codes_percent": round(found.changed_codes_percent, 4),
        "agreement_percent": round(100 * found.agreement, 2),
        "agreement_after_percent": round(100 * found.agreement_after, 2),
    }
    line = (
        f"unlearned file {result.out / found.name}, {found.changed_codes_percent:.2f} % of the codes changed, made in "
        f"{found.provenance.seconds:.1f} s"
    )
    return Outcome([line], values)
