"""Whether a network has learned anything: its accuracy next to that of always giving one answer."""

import copy
import dataclasses

from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Examples, MissingExamples
from obliq.run import Run
from obliq.training.loop import accuracy

TRAINING, TEST, BASELINE = "training", "test", "most frequent class"
"""Names of the accuracies that an original records."""


def most_frequent_share(examples: Examples) -> float:
    """The accuracy, in percent, of always answering the most frequent class."""
    return 100 * float(examples.labels.bincount().max()) / len(examples)


def with_accuracy(trained: SavedRun, test: Examples, run: Run) -> SavedRun:
    """An original that records its accuracy on training samples, and on test samples where there are any."""
    found = {TRAINING: float(trained.trace[-1]["accuracy"])}
    if not isinstance(test, MissingExamples):
        model = copy.deepcopy(trained.checkpoint.model).to(run.device)
        found |= {TEST: accuracy(model, test, run.device), BASELINE: most_frequent_share(test)}
    rounded = {name: round(percent, 2) for name, percent in found.items()}
    provenance = dataclasses.replace(trained.checkpoint.provenance, accuracy=rounded)
    return dataclasses.replace(
        trained, checkpoint=dataclasses.replace(trained.checkpoint, provenance=provenance)
    )


def accuracy_in_words(accuracies: dict[str, float]) -> list[str]:
    """Recorded accuracies in a line, and a warning in another one where the network has learned nothing."""
    in_training = f"{accuracies[TRAINING]:.1f} % on training samples in the last epoch"
    if TEST not in accuracies:
        return [f"accuracy: {in_training}"]
    test, baseline = accuracies[TEST], accuracies[BASELINE]
    lines = [
        f"accuracy: {test:.1f} % on test samples ({baseline:.1f} % by always answering the most frequent class), "
        f"{in_training}"
    ]
    if test <= baseline:
        lines.append(
            "WARNING: the network has learned nothing that a constant answer does not reach; expected another learning "
            "rate, more epochs or another network before anything is unlearned"
        )
    return lines


def accuracy_values(accuracies: dict[str, float]) -> dict[str, float]:
    """The accuracies on test samples under the names that JSON has for them."""
    names = {TEST: "test_accuracy", BASELINE: "baseline_accuracy"}
    return {names[name]: percent for name, percent in accuracies.items() if name in names}
