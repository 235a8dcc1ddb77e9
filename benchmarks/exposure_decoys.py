"""Can decoys hide who was forgotten from somebody who has the network before and after?

    python benchmarks/exposure_decoys.py [--seeds 2]

The mean loss of the forgotten writer rises from the old network to the new one, and that of others hardly moves. Here
other people are treated as if they had asked, too, in whole or in part, so that the writer is one of several whose loss
rises. Each variant has a price in accuracy. Digits, 4 bits; about a minute a seed.
"""

import argparse
import platform
from pathlib import Path

import numpy as np
import torch

from obliq.auditing import compute_signals, measure_exposure
from obliq.auditing.signals import RoleSignals
from obliq.checkpoints import Blueprint, Checkpoint
from obliq.data import Partition, Splits
from obliq.data.request_file import Request
from obliq.methods import Calibrated, Method, Retrain
from obliq.quantization import Precision
from obliq.run import Run
from obliq.workflow import demo
from obliq.workflow.new_request import create_request
from obliq.workflow.pipeline import recipe_of, train_original, unlearn_original

TABLE = Path(__file__).parent / "results" / "exposure_decoys.md"
VARIANTS = {
    "as it is": (0, 0.0),
    "2 decoys, forgotten in whole": (2, 1.0),
    "2 decoys, half of each": (2, 0.5),
    "everybody, a quarter of each": (99, 0.25),
}
"""How many other people are treated as forgotten, and which share of their samples."""


def with_decoys(parts: Partition, splits: Splits, people: int, share: float, seed: int) -> torch.Tensor:
    """The indices to forget: those of the request, and those of decoys."""
    owners = parts.collection.subjects
    assert owners is not None
    draw = np.random.default_rng(seed)
    retained = splits.retain.indices
    others = draw.permutation(np.unique(owners[retained].numpy()))[:people]
    chosen = [splits.forget.indices]
    for person in others:
        samples = retained[owners[retained] == int(person)]
        count = round(share * len(samples))
        chosen.append(samples[torch.from_numpy(draw.permutation(len(samples))[:count])])
    return torch.cat(chosen).sort().values


def row(name: str, before: Checkpoint, after: Checkpoint, splits: Splits) -> tuple[str, list[float]]:
    """Rank, distance from other people, and accuracies of one network."""
    cpu = torch.device("cpu")
    old, new = (
        RoleSignals(
            **{
                role: compute_signals(saved.model, getattr(splits, role), cpu)
                for role in ("forget", "retain", "holdout", "test")
            }
        )
        for saved in (before, after)
    )
    exposure = measure_exposure(old, new, splits)
    assert exposure is not None
    owners = splits.partition.collection.subjects
    assert owners is not None
    rises, people = new.retain.loss - old.retain.loss, owners[splits.retain.indices].numpy()
    means = np.array([rises[people == person].mean() for person in np.unique(people)])
    forgotten = float((new.forget.loss - old.forget.loss).mean())
    spread = means.std(ddof=1)
    distance = (forgotten - means.mean()) / spread if spread else 0.0
    accuracy = [100 * float(new_role.correct.mean()) for new_role in (new.retain, new.test)]
    return name, [exposure.rank, exposure.of, distance, forgotten, float(means.max()), *accuracy]


def measure(seed: int) -> list[tuple[str, list[float]]]:
    """All variants of one seed."""
    parts, run = demo.divided(seed), Run(seed=seed)
    data = parts.collection
    blueprint = Blueprint(
        architecture="convnet", input_shape=data.sample_shape, classes=data.classes, precision=Precision(4, 4)
    )
    original = train_original(parts, blueprint, demo.RECIPE, run).checkpoint
    owners = data.subjects
    assert owners is not None
    person = int(owners[parts.train.indices[0]])
    splits, request = create_request(parts, f"subject={person}", seed)

    def forgot(ids: torch.Tensor, method: Method) -> Checkpoint:
        wider = parts.forgetting(ids)
        named = Request.of(wider, request.selector)
        return unlearn_original(original, wider, named, method, run).checkpoint

    found = [row("no unlearning", original, original, splits)]
    for name, (people, share) in VARIANTS.items():
        ids = with_decoys(parts, splits, people, share, seed)
        found.append(row(name, original, forgot(ids, Calibrated(epochs=5)), splits))
    found.append(
        row(
            "retrained",
            original,
            forgot(splits.forget.indices, Retrain(recipe=recipe_of(original.provenance))),
            splits,
        )
    )
    return found


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    measured = [measure(seed) for seed in range(seeds)]
    lines = [
        "# Decoys against the comparison of two networks",
        "",
        "Made by `benchmarks/exposure_decoys.py`. *Rank*: of the forgotten writer among the people in training, by the",
        "rise of the mean loss; 1 stands out most. *Distance*: how far it lies above the mean of others, in standard",
        "deviations of people. Accuracies in percent. Method `calibrated` with 5 epochs, W4A4 on digits.",
        f"Python {platform.python_version()}, torch {torch.__version__}, one thread.",
        "",
        "| seed | variant | rank | distance | rise | largest of others | retain | test |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for seed, rows in enumerate(measured):
        for name, (rank, of, distance, rise, largest, retain, test) in rows:
            numbers = f"{distance:.1f} | {rise:.2f} | {largest:.2f} | {retain:.1f} | {test:.1f}"
            lines.append(f"| {seed} | {name} | {rank:.0f} of {of:.0f} | {numbers} |")
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
