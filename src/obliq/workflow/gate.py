"""The gate that every unlearned network passes: it must still be useful, and its method must have converged.

A method can end with a ruined network without an error: gradient ascent at a high rate, or any method on very few
samples. The gate compares the network with its original on retained and holdout samples of classes and people that
remain, and reads the method's own measure of convergence where the method records one.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from obliq.checkpoints import Provenance
from obliq.checkpoints.metadata import Gate
from obliq.data import Examples, MissingExamples, Splits
from obliq.errors import ModelError
from obliq.methods.method import COMPARED, LARGEST_DROP
from obliq.run import TraceRow
from obliq.training.prediction import predict

LARGEST_DISTANCE = 0.1
"""Mean distance of the forget set's confidence to its targets that is never called a failure, 0 to 1."""


def pass_gate(
    original: nn.Module,
    unlearned: nn.Module,
    splits: Splits,
    trace: Sequence[TraceRow],
    earlier: Gate | None = None,
) -> Gate:
    """Compare an unlearned network with its original.

    Accuracy fails when the whole 95 % interval of its loss, paired by sample, is above `LARGEST_DROP`, or when one
    class became the answer to every sample. It also fails when several requests together lost as much; the interval of
    that loss is not paired, because other samples remained at the start. Convergence fails when the method records
    `distance` and ended further from its targets than the original, by more than `LARGEST_DISTANCE`.

    Args:
        original: the network before.
        unlearned: the network after.
        splits: the roles of the samples.
        trace: what the method recorded, in order.
        earlier: the gate that the network before passed, where it was unlearned itself.
    """
    start = {} if earlier is None else earlier.start or earlier.before
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    failures: list[str] = []
    for role in ("retain", "holdout"):
        examples = _of_what_remains(getattr(splits, role), splits)
        if examples is None:
            continue
        answers = [predict(network, examples).argmax(dim=1) for network in (original, unlearned)]
        was, is_now = ((answer == examples.labels).double() for answer in answers)
        before[role], after[role] = (round(100 * float(right.mean()), 2) for right in (was, is_now))
        lost = was - is_now  # 1, 0 or -1 a sample
        error = float(lost.std(correction=0)) / math.sqrt(len(lost))
        if 100 * (float(lost.mean()) - 1.96 * error) > LARGEST_DROP:
            failures.append(
                f"accuracy on {len(lost):,} {role} samples fell from {before[role]:.1f} to {after[role]:.1f} % "
                f"(at most {LARGEST_DROP:g} points less are accepted)"
            )
        elif role in start and _sure_drop(start[role], after[role], len(lost)) > LARGEST_DROP:
            failures.append(
                f"accuracy on {role} samples fell from {start[role]:.1f} to {after[role]:.1f} % over all requests so "
                f"far (at most {LARGEST_DROP:g} points less are accepted)"
            )
        if len(set(answers[1].tolist())) == 1 < len(set(answers[0].tolist())):
            failures.append(f"one class is the answer to all {len(answers[1]):,} {role} samples")
    ended = next((row for row in reversed(trace) if "distance" in row), None)
    if ended is None:
        return Gate(before=before, after=after, failures=tuple(failures), start=start)
    distance, share = float(ended["distance"]), float(ended["distance_left"])
    if share > 1 and distance > LARGEST_DISTANCE:
        failures.append(
            f"forget samples are {distance:.2f} from their target confidence on average, {share:.1f} times as far as "
            "in the original"
        )
    return Gate(
        before=before, after=after, distance=round(distance, 4), failures=tuple(failures), start=start
    )


def _sure_drop(first: float, second: float, samples: int) -> float:
    """The lower end of the 95 % interval of a loss of accuracy in points, each on about so many samples."""
    error = math.sqrt((first * (100 - first) + second * (100 - second)) / samples)
    return first - second - 1.96 * error


def require_passed(provenance: Provenance, name: str, *, accept: bool) -> None:
    """Refuse to ship a network that failed its gate.

    Raises:
        ModelError: when it failed and nobody accepted that.
    """
    gate = provenance.gate
    if gate is not None and gate.failures and not gate.accepted and not accept:
        raise ModelError(
            f"{name} failed its gate: {'; '.join(gate.failures)}; expected a network that passed. Unlearn with other "
            "settings (a lower --learning-rate, if the method has one), or pass --accept to ship it as it is"
        )


def _of_what_remains(examples: Examples | MissingExamples, splits: Splits) -> Examples | None:
    """At most `COMPARED` of them, of classes and people that remain; None where there are none.

    Unseen samples of a forgotten person may become as hard as those of a stranger, which is no loss of use.
    """
    if isinstance(examples, MissingExamples):
        return None
    if isinstance(splits.retain, MissingExamples):
        # what remains is not known; classes of the forget set count as gone, unless that leaves nothing
        others = examples.where(~torch.isin(examples.labels, splits.forget.labels))
        return (others if len(others) else examples).spread(COMPARED)
    gone = torch.isin(examples.labels, torch.tensor(sorted(splits.forgotten_classes), dtype=torch.long))
    people = examples.collection.subjects
    if people is not None:
        absent = torch.tensor(sorted(splits.absent_subjects), dtype=people.dtype)
        gone |= torch.isin(people[examples.indices], absent)
    kept = examples.where(~gone)
    return kept.spread(COMPARED) if len(kept) else None
