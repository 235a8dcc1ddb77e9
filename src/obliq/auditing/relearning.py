"""Relearning: does knowledge of forgotten samples come back when a network is trained on a few others of them?"""

import itertools
from collections.abc import Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.auditing.signals import Relearned, compute_signals
from obliq.data import Examples, MissingExamples, Splits
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.quantization import float_state, integer_state, load_integer_state
from obliq.run import Run
from obliq.training.descent import descend
from obliq.training.loop import move_to_device, seeded
from obliq.training.memory import is_out_of_memory

STEPS: Final = 20
LEARNING_RATE: Final = 0.003
"""At the start; small enough that retrained networks learn little of the other samples."""
RETAINED: Final = 48
"""Retained samples of each step."""
RELEARNED: Final = 16
"""Forgotten samples that are trained on, all of them in each step."""
LEAST_OTHERS: Final = 20
"""Forgotten samples that must be left to evaluate; as many unseen ones are needed."""
SEED: Final = 0


def relearn(model: nn.Module, splits: Splits, device: torch.device) -> Relearned | None:
    """Train a copy of a network for a few steps, and evaluate it on the other forgotten samples and on unseen ones.

    A network that hides its knowledge gets it back from a few samples. A retrained network learns something about the
    others as well, for instance the handwriting of a person, so that only the difference to retrained networks counts.
    Training begins from the integers as an attacker has them: codes times steps, without the latent weights that
    unlearning moved. The same samples are drawn for every network.

    Source: "relearning" as in arXiv 2505.22310. Deviations: a few steps of descent with momentum in place of 10 epochs
    and more of Adam, and standardised margins in place of accuracy, see `obliq.auditing.statistics`.

    Args:
        model: the network; left as it was.
        splits: the request's.
        device: where to compute.

    Returns:
        The answers; None for fewer than 36 forgotten or 20 unseen samples, and for a network that cannot be trained.
    """
    unseen = _unseen(splits)
    trainable = any(parameter.requires_grad for parameter in model.parameters())
    if unseen is None or len(splits.forget) < RELEARNED + LEAST_OTHERS or not trainable:
        return None
    run = Run(seed=SEED, device=device)
    order = torch.randperm(len(splits.forget), generator=run.generator(purpose=1))
    collection, indices = splits.forget.collection, splits.forget.indices
    again = Examples(collection, indices[order[:RELEARNED]])
    others = Examples(collection, indices[order[RELEARNED:].sort().values])
    try:
        network = _trained_again(model, splits.retain, again, run)
    except (ModelError, RuntimeError) as error:  # diverges, or has no gradients
        if is_out_of_memory(error):  # the verdict shall not depend on what else the machine does
            raise
        return None
    return Relearned(
        forget=compute_signals(network, others, device), unseen=compute_signals(network, unseen, device)
    )


def _trained_again(model: nn.Module, retain: Examples, again: Examples, run: Run) -> nn.Module:
    """A copy of the network, trained on retained samples and on the few forgotten ones, from its integers."""
    with seeded(run):
        network = load_integer_state(model, integer_state(model), float_state(model))
        network = move_to_device(network, run).train()
        shuffle = run.generator(purpose=2)
        known = again.collection.fetch(again.indices).to(run.device), again.labels.to(run.device)

        def losses(_: int) -> Iterator[Tensor]:
            left = STEPS
            while left:
                for inputs, labels in itertools.islice(batches(retain, RETAINED, shuffle, run.device), left):
                    logits = network(torch.cat([inputs, known[0]]))
                    if not isinstance(logits, Tensor):
                        raise ModelError(
                            f"the network gives a {type(logits).__name__} in training; expected logits"
                        )
                    yield F.cross_entropy(logits, torch.cat([labels, known[1]]))
                    left -= 1

        descend(
            network,
            losses,
            epochs=1,
            total=STEPS,
            learning_rate=LEARNING_RATE,
            momentum=0.9,
            weight_decay=0.0,
            run=run,
        )
    return network


def _unseen(splits: Splits) -> Examples | None:
    """The test samples of the forget set's classes; None for too few."""
    if isinstance(splits.test, MissingExamples):
        return None
    same = torch.isin(splits.test.labels, splits.forget.labels)
    if int(same.sum()) < LEAST_OTHERS:
        return None
    return splits.test.where(same)
