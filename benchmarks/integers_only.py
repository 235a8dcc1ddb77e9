"""What does it cost in Avg. Gap when only the deployed integers are left to unlearn from?

The same original and request, unlearned by OEU in three ways: from latent weights with learned steps, from latent
weights with frozen steps, and from the exported file. All three are measured as exported files in ONNX
Runtime, against the retrained network's file.

    python benchmarks/integers_only.py --fashion DIR --seeds 1 2
"""

import argparse
import dataclasses
import platform
import statistics
import tempfile
from pathlib import Path

import torch

from obliq import (
    Blueprint,
    OrthogonalEntropy,
    PartitionRule,
    Precision,
    Recipe,
    Retrain,
    Run,
    Splits,
    ask,
    forget,
    load,
    make_original,
    partition,
)
from obliq.audit import AuditedModel, Measurement, RoleSignals, audit, signals_of
from obliq.export import export, open_shipped
from obliq.forget_in_file import forget_in_file
from obliq.predictor import Predictor

TABLE = Path(__file__).parent / "results" / "integers_only.md"
RECIPE = Recipe(epochs=20, learning_rate=0.1, batch_size=64)
METHOD = OrthogonalEntropy(
    objective="calibrated", epochs=3, learning_rate=0.02, forget_batch=64, record_every=0
)
NUMBERS = ("forget_accuracy", "retain_accuracy", "test_accuracy", "mia_svc_confidence", "auc_forget_vs_test",
           "average_gap")  # fmt: skip
KINDS = {"no unlearning": "original", "retrained": "retrained"}


def opened(content: bytes, folder: Path, name: str) -> Predictor:
    """A file's bytes in ONNX Runtime."""
    file = folder / f"{name}.onnx"
    file.write_bytes(content)
    return open_shipped(file).predictor


def answers(predictor: Predictor, splits: Splits) -> RoleSignals:
    """What it says in every role."""
    roles = ("forget", "retain", "holdout", "test")
    return RoleSignals(**{role: signals_of(predictor, getattr(splits, role)) for role in roles})


def measured(folder: Path | None, seed: int) -> dict[str, Measurement]:
    """Every way for one seed, and the time that each took."""
    run = Run(seed=seed)
    rule = PartitionRule(seed=seed, holdout=0.03, limit=3000)
    parts = partition(load("fashion-mnist", folder), rule)
    blueprint = Blueprint(
        architecture="strided-convnet", input_shape=(1, 28, 28), classes=10, precision=Precision(4, 4)
    )
    original = make_original(parts, blueprint, RECIPE, run).saved
    splits, request = ask(parts, "random=10%", seed=seed)
    frozen = dataclasses.replace(METHOD, steps="frozen")
    shape = blueprint.input_shape
    made = {"no unlearning": export(original.model, shape)}
    for name, method in {
        "latent weights, learned steps": METHOD,
        "latent weights, frozen steps": frozen,
        "retrained": Retrain(recipe=RECIPE),
    }.items():
        made[name] = export(forget(original, splits, request, method, run).saved.model, shape)
    with tempfile.TemporaryDirectory() as place:
        start = Path(place) / "start.onnx"
        start.write_bytes(made["no unlearning"])
        made["the file alone"] = forget_in_file(open_shipped(start), splits, request, frozen, run).content
        models = [
            AuditedModel(
                kind=KINDS.get(name, "unlearned"), name=name,
                answers=answers(opened(content, Path(place), "now"), splits),
            )
            for name, content in made.items()
        ]  # fmt: skip
    return {entry.name: entry for entry in audit(models, precision="W4A4").entries}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fashion", type=Path, default=None, help="folder of the Fashion-MNIST files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [measured(arguments.fashion, seed) for seed in arguments.seeds]
    lines = []
    for name in seeds[0]:
        cells = [
            " ± ".join(
                f"{value:.2f}" for value in _mean_and_spread([getattr(one[name], number) for one in seeds])
            )
            for number in NUMBERS
        ]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    TABLE.write_text(
        "# Unlearning from the deployed integers alone\n\n"
        f"Made by `benchmarks/integers_only.py` with torch {torch.__version__} on {platform.machine()}; Fashion-MNIST, "
        "about 3,000 training images,\n10 % random forgotten, strided-convnet W4A4, OEU calibrated at one setting that "
        f"was not tuned, {len(seeds)} seed(s).\nAll rows are exported files in ONNX Runtime. "
        "Percent, gaps in points.\n\n"
        "| unlearned from | FA | RA | TA | MIA | AUC | Avg. Gap |\n| --- | --- | --- | --- | --- | --- | --- |\n"
        + "\n".join(lines) + "\n"
    )  # fmt: skip
    print(TABLE.read_text())


def _mean_and_spread(values: list[float]) -> list[float]:
    return [statistics.mean(values), *([statistics.stdev(values)] if len(values) > 1 else [])]


if __name__ == "__main__":
    main()
