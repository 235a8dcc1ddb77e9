"""The demo: a network that was trained on handwriting of several people forgets one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from obliq.auditing import Audit
from obliq.checkpoints import Blueprint
from obliq.checkpoints.run_folder import save_run
from obliq.data import PartitionRule, load_dataset, partition
from obliq.io.atomic import new_folder
from obliq.methods import OEU, Calibrated, Method, Retrain
from obliq.models import choose_architecture
from obliq.quantization import Precision
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow.compare_runs import compare_runs
from obliq.workflow.pipeline import (
    create_request,
    recipe_of,
    train_original,
    unlearn_original,
    write_report_files,
)
from obliq.workflow.release import Release, write_release
from obliq.workflow.report_context import report_context

PERSON = 7
RECIPE = Recipe(epochs=40, learning_rate=0.02, weight_decay=2e-3, batch_size=64)
# Chosen among nine settings on two seeds and writers other than the demo's. More rounds did not help on four seeds.
METHODS: dict[str, Method] = {
    "unlearned": Calibrated(epochs=5, rounds=1, retain_batch=64, projection="always"),
    "unlearned by entropy": OEU(objective="entropy", forget_weight=0.1, epochs=5, retain_batch=64),
}


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured and wrote.

    Attributes:
        audit: of all networks.
        shipped: what devices get of the first unlearned network.
    """

    audit: Audit
    shipped: Release


def demonstrate(out: Path, run: Run, stage: Callable[[str], None], *, overwrite: bool = False) -> DemoResult:
    """Train, forget one writer of handwritten digits, retrain for comparison, audit, export, and report.

    Args:
        out: a folder that receives one folder a network, what `obliq.workflow.release` writes, `audit.json`
            and `report.html`.
        run: seed, device and listener.
        stage: called with a few words when a step begins.
        overwrite: whether `out` may be replaced.
    """
    data = load_dataset("digits")
    parts = partition(data, PartitionRule(seed=run.seed))
    trained = data.subjects[parts.train.indices] if data.subjects is not None else torch.empty(0)
    person = PERSON if bool((trained == PERSON).any()) else int(trained[0])
    blueprint = Blueprint(
        architecture=choose_architecture(data.sample_shape),
        input_shape=data.sample_shape,
        classes=data.classes,
        precision=Precision(4, 4),
    )
    with new_folder(out, overwrite=overwrite) as draft:
        stage("training the original 4-bit network")
        original = train_original(parts, blueprint, RECIPE, run)
        splits, request = create_request(parts, f"subject={person}", run.seed)
        stage("retraining without that person, for reference")
        others = {
            "retrained": unlearn_original(
                original.checkpoint, splits, request, Retrain(recipe=recipe_of(original.checkpoint)), run
            )
        }
        for name, method in METHODS.items():
            stage(f"forgetting that person: {name}")
            others[name] = unlearn_original(original.checkpoint, splits, request, method, run)
        stage("auditing")
        measured = compare_runs(original.checkpoint, others, splits, run.device)
        for name, saved in {"original": original, **others}.items():
            save_run(draft / name.replace(" ", "-"), saved)
        stage("exporting what devices run, and the patch to it")
        inputs = data.fetch(parts.test.indices)
        shipped = write_release(draft, original.checkpoint, others["unlearned"].checkpoint, data.name, inputs)
        context = report_context(original, others, request.selector)
        write_report_files(measured, draft, context, shipped.shipment)
    return DemoResult(measured, shipped)
