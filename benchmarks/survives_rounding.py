"""Does the forgetting survive rounding the weights more coarsely afterwards?

Two ways of making a network forget and only then rounding it to fewer bits:

- learned grid: the original is trained at W8A8, unlearned there, and its latent weights are then rounded to 8, 4,
  3 and 2 bits;
- float first: everything happens in FP32, and the result is then quantized.

Rounding is done to every network alike, the original and the retrained one too, so that each width has an aim of its
own: what is left between unlearned and retrained is forgetting, not the damage of rounding. Inner layers get the
width, first and last layer and all activations 8 bits; the step of each channel has the least squared error, and batch
norm and activations are set anew on the retain set, as one does after rounding.

    python benchmarks/survives_rounding.py run --fashion DIR --seeds 1 2
    python benchmarks/survives_rounding.py show
"""

import argparse
import copy
import csv
import dataclasses
import functools
import platform
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from obliq import (
    Blueprint,
    FineTune,
    Method,
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
    quantize,
)
from obliq.audit import AuditedModel, RoleSignals, audit, signals
from obliq.data import Examples
from obliq.data.batches import batches
from obliq.methods.gradient_ascent import GradientAscent
from obliq.quantization import calibrate, changed_codes, weighted_layers
from obliq.quantization.precision import weight_range

RESULTS = Path(__file__).parent / "results"
ROWS, TABLE, PICTURE = (RESULTS / f"survives_rounding.{kind}" for kind in ("csv", "md", "png"))
RECIPE = Recipe(epochs=20, learning_rate=0.1, batch_size=64)
RULE = {"holdout": 0.03, "limit": 3000}
METHODS: dict[str, Method] = {
    "fine-tune": FineTune(epochs=4, learning_rate=0.03),
    "gradient ascent": GradientAscent(),
    "OEU calibrated": OrthogonalEntropy(
        objective="calibrated", epochs=3, learning_rate=0.02, forget_batch=64, record_every=0
    ),
}
WIDTHS = (8, 4, 3, 2)
ROUTES = {"learned grid": "W8A8", "float first": "FP32"}
NUMBERS = (
    "forget_accuracy", "retain_accuracy", "test_accuracy", "mia_svc_confidence", "auc_forget_vs_test", "average_gap",
    "changed_codes_percent",
)  # fmt: skip
CPU = torch.device("cpu")
ROLES = ("forget", "retain", "holdout", "test")
Round = Callable[[nn.Module], nn.Module]


def least_error_steps(weight: Tensor, bits: int) -> Tensor:
    """The step of each output channel, among 80 shares of its largest weight, with the least squared error."""
    _, high = weight_range(bits)
    rows = weight.detach().flatten(1)
    shares = torch.linspace(1.2, 0.1, 80)[:, None]
    steps = (shares * rows.abs().amax(dim=1) / high).clamp_min(2.0**-20)
    codes = (rows / steps[:, :, None]).round().clamp(-high, high)
    errors = (codes * steps[:, :, None] - rows).square().sum(dim=2)
    return steps.gather(0, errors.argmin(dim=0, keepdim=True))[0]


def rounded(model: nn.Module, bits: int, retain: Examples) -> nn.Module:
    """A copy whose inner weights lie on the best grid of this width; a float network is quantized first."""
    made = copy.deepcopy(model) if weighted_layers(model) else quantize(model, f"W{bits}A8")
    layers = list(weighted_layers(made).values())
    for place, layer in enumerate(layers):
        layer.bits = bits if 0 < place < len(layers) - 1 else 8
        with torch.no_grad():
            layer.weight_step.copy_(least_error_steps(layer.weight, layer.bits))
    return settled(made, retain)


def settled(model: nn.Module, retain: Examples) -> nn.Module:
    """Activations calibrated and batch norm's statistics taken on the retain set, in place."""
    inputs = [batch for batch, _ in batches(retain, 256, None, CPU)]
    model.train()
    calibrate(model, inputs[0])
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain averages
    with torch.no_grad():
        for batch in inputs:
            model(batch)
    return model.eval()


def measured(networks: dict[str, nn.Module], splits: Splits, precision: str) -> dict[str, dict[str, float]]:
    """The numbers of every network against the retrained one, all rounded in the same way."""
    original = networks["original"]
    kinds = {"original": "original", "retrained": "retrained"}
    models = [
        AuditedModel(
            kind=kinds.get(name, "unlearned"), name=name,
            answers=RoleSignals(
                **{role: signals(network, getattr(splits, role), CPU) for role in ROLES}
            ),
            changed_codes_percent=100 * changed_codes(original, network) if weighted_layers(original) else None,
        )
        for name, network in networks.items()
    ]  # fmt: skip
    found = audit(models, precision=precision)
    return {entry.name: {name: getattr(entry, name) for name in NUMBERS} for entry in found.entries}


def cells(folder: Path, seed: int) -> list[dict[str, object]]:
    """Both routes for one seed."""
    run = Run(seed=seed)
    parts = partition(load("fashion-mnist", folder), PartitionRule(seed=seed, **RULE))
    rows: list[dict[str, object]] = []
    for route, precision in ROUTES.items():
        blueprint = Blueprint(
            architecture="strided-convnet",
            input_shape=(1, 28, 28),
            classes=10,
            precision=Precision.parse(precision),
        )
        original = make_original(parts, blueprint, RECIPE, run)
        splits, request = ask(parts, "random=10%", seed=seed)
        networks = {"original": original.saved.model}
        for name, method in {**METHODS, "retrained": Retrain(recipe=RECIPE)}.items():
            networks[name] = forget(original.saved, splits, request, method, run).saved.model
            print(seed, route, name, flush=True)
        ways: list[tuple[str, str, Round]] = [("before", precision, lambda model: model)]
        ways += [
            (f"{bits} bits", f"W{bits}A8", functools.partial(rounded, bits=bits, retain=splits.retain))
            for bits in WIDTHS
        ]
        for stage, width, way in ways:
            after = {name: way(network) for name, network in networks.items()}
            for name, numbers in measured(after, splits, width).items():
                rows.append({"route": route, "weights": stage, "network": name, "seed": seed, **numbers})
    return rows


def run(arguments: argparse.Namespace) -> None:
    """Measure, and write the rows."""
    torch.set_num_threads(1)
    rows = [row for seed in arguments.seeds for row in cells(arguments.fashion, seed)]
    with ROWS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    show(arguments)


@dataclasses.dataclass(frozen=True)
class Found:
    """The rows, and means over seeds."""

    rows: list[dict[str, str]]

    def values(self, route: str, weights: str, network: str, number: str) -> list[float]:
        """One number of one cell, a value for each seed."""
        return [
            float(row[number])
            for row in self.rows
            if (row["route"], row["weights"], row["network"]) == (route, weights, network) and row[number]
        ]

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len({row["seed"] for row in self.rows})


STAGES = ("before", *(f"{bits} bits" for bits in WIDTHS))
SHOWN = ("original", *METHODS, "retrained")


def show(arguments: argparse.Namespace) -> None:
    """Draw table and picture from the committed rows."""
    with ROWS.open(newline="") as file:
        found = Found(list(csv.DictReader(file)))
    lines = []
    for route in ROUTES:
        for stage in STAGES:
            for network in SHOWN:
                if not found.values(route, stage, network, NUMBERS[0]):
                    continue
                cells = [_mean(found.values(route, stage, network, number)) for number in NUMBERS]
                lines.append("| " + " | ".join([route, stage, network, *cells]) + " |")
    TABLE.write_text(
        "# Does the forgetting survive rounding?\n\n"
        f"Made by `benchmarks/survives_rounding.py` with torch {torch.__version__} on {platform.machine()}; "
        f"Fashion-MNIST, about {RULE['limit']} training images, 10 % random forgotten, strided-convnet, means of "
        f"{found.seeds} seed(s). "
        "The docstring of the script says how weights are rounded. `before` is the network as it was unlearned "
        "(W8A8 or FP32). Each width is compared with the retrained network rounded alike; codes are those that "
        "differ from the original's rounded alike. Percent, gaps in points. No setting was tuned for this table. "
        "What has no row was not measured.\n\n"
        "| route | weights | network | FA | RA | TA | MIA | AUC | Avg. Gap | codes changed |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n" + "\n".join(lines) + "\n\n"
        "![Average gap and AUC by weight width](survives_rounding.png)\n"
    )
    _draw(found)


def _mean(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f}" if values else "-"


def _draw(found: Found) -> None:
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplots(2, len(ROUTES), sharex=True, sharey="row")
    styles = {
        "original": ("#8a8f98", "--", "no unlearning"), "fine-tune": ("#5b8db8", "-", "fine-tune"),
        "gradient ascent": ("#3f7d58", "-", "gradient ascent"), "OEU calibrated": ("#c2410c", "-", "OEU calibrated"),
        "retrained": ("#1c2024", ":", "retrained"),
    }  # fmt: skip
    for column, (route, precision) in enumerate(ROUTES.items()):
        for row, (number, label) in enumerate(
            (("average_gap", "Avg. Gap, points"), ("auc_forget_vs_test", "AUC, forgotten against unseen"))
        ):
            ax = axes[row, column]
            for network, (colour, line, words) in styles.items():
                points = [
                    (place, statistics.mean(values))
                    for place, stage in enumerate(STAGES)
                    if (values := found.values(route, stage, network, number))
                ]
                places, heights = zip(*points, strict=True)
                ax.plot(places, heights, line, color=colour, marker="o", markersize=3.5, label=words)
            ax.set_xticks(range(len(STAGES)), STAGES)
            ax.set_ylabel(label if column == 0 else "", fontsize=8.5)
            ax.tick_params(labelsize=8.5)
            ax.spines[["top", "right"]].set_visible(False)
        axes[0, column].set_title(f"{route} ({precision}), then rounded", fontsize=10)
    axes[0, 0].legend(fontsize=8, frameon=False)
    figure.suptitle(
        f"Fashion-MNIST, 10 % random, mean of {found.seeds} seed(s); wanted: as retrained", fontsize=9.5
    )
    figure.savefig(PICTURE, dpi=130, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    measuring = verbs.add_parser("run")
    measuring.add_argument("--fashion", type=Path, default=None, help="folder of the Fashion-MNIST files")
    measuring.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    measuring.set_defaults(action=run)
    verbs.add_parser("show").set_defaults(action=show)
    arguments = parser.parse_args()
    arguments.action(arguments)


if __name__ == "__main__":
    main()
