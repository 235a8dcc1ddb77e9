"""Whether a network has learned anything: its accuracy next to that of always giving one answer."""

import copy
import dataclasses

from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Examples, MissingExamples, Partition
from obliq.run import Run
from obliq.training.prediction import accuracy

TRAINING, TEST, BASELINE = "training", "test", "most frequent class"
"""Names of the accuracies that an original records."""


NEAR_CHANCE = 0.1
"""Share of the way from the most frequent class to 100 % below which a network has learned next to nothing."""


def is_near_chance(percent: float, baseline: float) -> bool:
    """Whether an accuracy in percent is hardly above that of always answering the most frequent class."""
    return percent <= baseline + NEAR_CHANCE * (100 - baseline)


def most_frequent_share(examples: Examples) -> float:
    """The accuracy, in percent, of always answering the most frequent class."""
    return 100 * float(examples.labels.bincount().max()) / len(examples)


def with_accuracy(trained: SavedRun, parts: Partition, run: Run) -> SavedRun:
    """An original that records its accuracy on training samples, and on test samples where there are any."""
    found = {TRAINING: float(trained.trace[-1]["accuracy"])}
    measured: Examples = parts.train
    if not isinstance(parts.test, MissingExamples):
        measured = parts.test
        model = copy.deepcopy(trained.checkpoint.model).to(run.device)
        found |= {TEST: accuracy(model, measured, run.device)}
    found |= {BASELINE: most_frequent_share(measured)}
    rounded = {name: round(percent, 2) for name, percent in found.items()}
    provenance = dataclasses.replace(trained.checkpoint.provenance, accuracy=rounded)
    return dataclasses.replace(
        trained, checkpoint=dataclasses.replace(trained.checkpoint, provenance=provenance)
    )


def accuracy_in_words(accuracies: dict[str, float]) -> list[str]:
    """Recorded accuracies in a line, and a warning in another one where the network has learned next to nothing."""
    in_training = f"{accuracies[TRAINING]:.1f} % on training samples in the last epoch"
    baseline = accuracies.get(BASELINE)
    if (
        baseline is None
    ):  # of a network without a test part, from before the baseline of its training part was kept
        return [f"accuracy: {in_training}"]
    constant = f"({baseline:.1f} % by always answering the most frequent class)"
    test = accuracies.get(TEST)
    lines = [
        f"accuracy: {in_training} {constant}"
        if test is None
        else f"accuracy: {test:.1f} % on test samples {constant}, {in_training}"
    ]
    reached = accuracies[TRAINING] if test is None else test
    if is_near_chance(reached, baseline):
        learned = (
            "nothing that a constant answer does not reach" if reached <= baseline else "next to nothing"
        )
        lines.append(
            f"WARNING: the network has learned {learned}; expected a lower --learning-rate (such as a fifth of it), "
            "more epochs or another network before anything is unlearned"
        )
    return lines


def accuracy_values(accuracies: dict[str, float]) -> dict[str, float]:
    """The accuracies on test samples under the names that JSON has for them."""
    names = {TEST: "test_accuracy", BASELINE: "baseline_accuracy"}
    return {names[name]: percent for name, percent in accuracies.items() if name in names}
