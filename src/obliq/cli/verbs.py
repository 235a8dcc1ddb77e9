"""What each verb does: reads, calls one function of the library, writes, and returns what to print."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from obliq.auditing import Audit
from obliq.checkpoints import Blueprint
from obliq.checkpoints.run_folder import SavedRun, load_run, save_run
from obliq.checkpoints.summary import summarise_checkpoint
from obliq.cli.arguments import Demo, RetrainVerb, Show, Train, Unlearn
from obliq.cli.circumstances import Circumstances
from obliq.cli.progress import Narrator
from obliq.cli.tables import audit_lines, inventory_lines, shipped_lines
from obliq.data import PartitionRule, load_dataset, partition
from obliq.errors import DataError
from obliq.io.atomic import refuse_existing_folder
from obliq.io.strict_json import encode
from obliq.methods import Method, Retrain
from obliq.models import choose
from obliq.quantization import Precision, weights_digest
from obliq.run import Run, device_named
from obliq.workflow import demo
from obliq.workflow.pipeline import (
    AUDIT,
    REPORT,
    create_request,
    recipe_of,
    same_partition,
    train_original,
    unlearn_original,
)

MOST_THREADS = 1024


@dataclass(frozen=True)
class Outcome:
    """What a verb has to say, for people and for machines."""

    lines: list[str]
    values: dict[str, Any] = field(default_factory=dict)


def run_demo(arguments: Demo, narrator: Narrator) -> Outcome:
    """Show the whole idea on real data."""
    refuse_existing_folder(arguments.out, overwrite=arguments.overwrite)
    run = started(arguments.run, narrator)
    made = demo.demonstrate(arguments.out, run, narrator.stage, overwrite=arguments.overwrite)
    measured = audited(made.audit, arguments.out)
    return Outcome(
        [*measured.lines, *shipped_lines(made.shipped, arguments.out)],
        {**measured.values, "shipped": encode(made.shipped)},
    )


def run_train(arguments: Train, narrator: Narrator) -> Outcome:
    """Train an original."""
    result = arguments.result
    refuse_existing_folder(result.out, overwrite=result.overwrite)
    precision = Precision.parse(arguments.bits)
    run = started(arguments.run, narrator)
    rule = PartitionRule(
        seed=arguments.run.seed, holdout=arguments.holdout, test=arguments.test, limit=arguments.limit
    )
    parts = partition(load_dataset(arguments.data, arguments.data_folder), rule)
    data = parts.collection
    blueprint = Blueprint(
        architecture=arguments.arch or choose(data.sample_shape), input_shape=data.sample_shape,
        classes=data.classes, precision=precision, preset=arguments.preset, weight_grid=arguments.weight_grid,
    )  # fmt: skip
    narrator.stage(
        f"training {blueprint.architecture} {precision} on {len(parts.train)} samples of {data.name}"
    )
    made = train_original(parts, blueprint, arguments.recipe, run)
    return _kept(made, result.out, result.overwrite)


def run_retrain(arguments: RetrainVerb, narrator: Narrator) -> Outcome:
    """Train anew by the original's recipe."""
    return forgotten(arguments, lambda original: Retrain(recipe=recipe_of(original.checkpoint)), narrator)


def run_show(arguments: Show, narrator: Narrator) -> Outcome:
    """Show what is in a folder."""
    started(arguments.run, narrator)
    found = summarise_checkpoint(load_run(arguments.folder, arguments.arch).checkpoint)
    return Outcome(inventory_lines(found), found.as_json())


def forgotten(
    arguments: Unlearn | RetrainVerb, method_for: Callable[[SavedRun], Method], narrator: Narrator
) -> Outcome:
    """Apply a method to the network in a folder."""
    result = arguments.result
    refuse_existing_folder(result.out, overwrite=result.overwrite)
    run = started(arguments.run, narrator)
    original = load_run(arguments.original, arguments.arch)
    if original.checkpoint.provenance.role != "original":
        raise DataError(
            f"{arguments.original} is {original.checkpoint.provenance.role} already; expected an original (one request "
            "may name several classes, subjects or ids)"
        )
    parts = same_partition(original.checkpoint, arguments.data_folder, arguments.data)
    splits, request = create_request(parts, arguments.forget, run.seed)
    method = method_for(original)
    narrator.stage(f"forgetting {len(splits.forget)} samples, keeping {len(splits.retain)}")
    made = unlearn_original(original.checkpoint, splits, request, method, run)
    return _kept(made, result.out, result.overwrite)


def started(circumstances: Circumstances, narrator: Narrator) -> Run:
    """Set threads and device as wanted.

    Raises:
        DataError: for a number of threads that cannot be.
    """
    if not 0 <= circumstances.threads <= MOST_THREADS:
        raise DataError(f"threads {circumstances.threads}; expected 0 (all) or 1 to {MOST_THREADS}")
    if circumstances.threads:
        torch.set_num_threads(circumstances.threads)
    return Run(
        seed=circumstances.seed, device=device_named(circumstances.device), autocast=circumstances.autocast,
        compile=circumstances.compile, listen=narrator,
    )  # fmt: skip


def _kept(made: SavedRun, out: Path, overwrite: bool) -> Outcome:
    save_run(out, made, overwrite=overwrite)
    provenance = made.checkpoint.provenance
    values = {
        "folder": str(out),
        "role": provenance.role,
        "counts": provenance.counts,
        "seconds": round(provenance.seconds, 3),
        "weights_digest": weights_digest(made.checkpoint.model),
    }
    return Outcome([f"{provenance.role} network in {out}, made in {provenance.seconds:.1f} s"], values)


def audited(measured: Audit, out: Path) -> Outcome:
    """What there is to say about an audit."""
    values = {
        "report": str(out / REPORT),
        "audit": str(out / AUDIT),
        "entries": [
            {name: getattr(entry, name) for name in SUMMARY}
            | {"verdict": entry.verdict and entry.verdict.word, "artifact": encode(entry.artifact)}
            for entry in measured.entries
        ],
    }
    return Outcome(audit_lines(measured, out / REPORT), values)


SUMMARY = (
    "name",
    "kind",
    "forget_accuracy",
    "retain_accuracy",
    "test_accuracy",
    "mia_svc_confidence",
    "auc_forget_vs_test",
    "rmia_auc",
    "rmia_at_one_percent",
    "average_gap",
    "tow",
    "seconds",
    "time_ratio",
    "changed_codes_percent",
)
