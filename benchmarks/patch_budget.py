"""How few integers must change to forget: the share of entries that may move against patch size and gap.

Fashion-MNIST, the strided ConvNet at W4A4 on 4,000 images, a random tenth to forget, two originals each with
its own retrained network. Only the share `movable` of all entries, the most salient for the forget set first,
may move, and with it frozen steps, so that a patch holds codes and layer biases alone.

    python benchmarks/patch_budget.py --fashion DIR
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure

from obliq.checkpoints import Blueprint
from obliq.data import PartitionRule, load_dataset, partition
from obliq.methods import Calibrated, Retrain
from obliq.patch import Content, encode_patch, network_content
from obliq.quantization import Precision, float_state, integer_state
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow.compare_runs import compare_runs
from obliq.workflow.new_request import create_request
from obliq.workflow.pipeline import train_original, unlearn_original

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "patch_budget.md"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "patch_budget.png"
SEEDS = (1, 2)
RECIPE = Recipe(epochs=20, learning_rate=0.1, batch_size=64)
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def methods() -> dict[str, Calibrated]:
    """By the text of the first two columns."""
    settings = {"record_every": 0}
    frozen = {
        f"{100 * share:g} % | frozen": Calibrated(movable=share, steps="frozen", **settings)
        for share in SHARES
    }
    learned = {f"{100 * share:g} % | learned": Calibrated(movable=share, **settings) for share in (1.0, 0.1)}
    return frozen | learned


def rows(seed: int, folder: Path | None) -> dict[str, tuple[float | None, ...]]:
    """Gap, UA and RA differences to retraining, changed codes in percent, bytes of the patch."""
    run = Run(seed=seed)
    parts = partition(
        load_dataset("fashion-mnist", folder), PartitionRule(seed=seed, holdout=0.03, limit=4000)
    )
    blueprint = Blueprint(
        architecture="strided-convnet",
        input_shape=parts.collection.sample_shape,
        classes=parts.collection.classes,
        precision=Precision(4, 4),
    )
    original = train_original(parts, blueprint, RECIPE, run)
    splits, request = create_request(parts, "random=10%", seed)
    others = {
        "retrained": unlearn_original(original.checkpoint, splits, request, Retrain(recipe=RECIPE), run)
    }
    others |= {
        name: unlearn_original(original.checkpoint, splits, request, method, run)
        for name, method in methods().items()
    }
    audit = compare_runs(original.checkpoint, others, splits, run.device)
    reference = audit.retrained
    assert reference is not None
    old, found = content(original.checkpoint.model), {}
    for entry in (audit.original, *audit.unlearned, reference):
        made = others.get(entry.name)
        patch = len(encode_patch(old, content(made.checkpoint.model))) if made else 0
        found["retrained |" if entry is reference else "original |" if made is None else entry.name] = (
            entry.average_gap or 0.0,
            entry.unlearning_accuracy - reference.unlearning_accuracy,
            entry.retain_accuracy - reference.retain_accuracy,
            entry.changed_codes_percent,
            patch,
        )
    return found


def content(model: torch.nn.Module) -> Content:
    return network_content(integer_state(model), float_state(model))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fashion", type=Path, help="folder of the Fashion-MNIST files")
    parser.add_argument("--picture", action="store_true", help="only draw the table that is there")
    given = parser.parse_args()
    if not given.picture:
        measure(given.fashion)
    picture()


def measure(folder: Path | None) -> None:
    """Run every method on every seed and write the table."""
    torch.set_num_threads(1)
    found = [rows(seed, folder) for seed in SEEDS]
    lines = [
        "# How few integers must change to forget",
        "",
        "Fashion-MNIST, 10 % random, strided ConvNet W4A4, calibrated at its defaults; mean of "
        f"{len(SEEDS)} originals. Differences and Avg. Gap in points to the retrained network (target 0); the patch "
        "is a whole file. Only the share of entries that may move differs between rows, none is tuned by itself. "
        "Made by `benchmarks/patch_budget.py`.",
        "",
        "| may move | steps | Avg. Gap | UA | RA | codes changed | patch, bytes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in found[0]:
        gap, unlearning, retain, codes, size = (
            mean(values) for values in zip(*(one[name] for one in found), strict=True)
        )
        share = "-" if codes is None else f"{codes:.1f} %"
        lines.append(f"| {name} | {gap:.2f} | {unlearning:+.1f} | {retain:+.1f} | {share} | {size:,.0f} |")
    TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what was counted for every seed."""
    return None if None in values else statistics.mean(values)


def picture() -> None:
    """Draw the frozen rows of the table: patch size against Avg. Gap."""
    cells = [line.strip("| ").split(" | ") for line in TABLE.read_text().splitlines() if "| frozen |" in line]
    sizes, gaps = [float(row[6].replace(",", "")) for row in cells], [float(row[2]) for row in cells]
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(sizes, gaps, "o-", color="#c2410c")
    for row, size, gap in zip(cells, sizes, gaps, strict=True):
        axes.annotate(row[0], (size, gap), xytext=(5, 5), textcoords="offset points", fontsize=9)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set(xlabel="patch, bytes", ylabel="Avg. Gap, points (target 0)")
    axes.set_title("How few integers must change: share of entries that may move", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    main()
