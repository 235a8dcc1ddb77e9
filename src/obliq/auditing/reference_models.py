"""Reference networks: the original's form and recipe, trained on halves of its data.

Half of the networks were trained on each training sample and half were not. `obliq.auditing.reference_attacks` compares
the two halves.
"""

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import nn

from obliq.auditing import ReferenceAnswers, Signals
from obliq.data import Examples
from obliq.data.draw_parts import draw_share
from obliq.errors import DataError
from obliq.models import initialise
from obliq.run import Run
from obliq.training.loop import Recipe, fit

HALVES = 1_000  # purposes of a run's generator, from here on: one per pair of networks
NETWORKS = 2_000  # the same for the networks' own seeds: one per network
REFERENCES_VERSION = 1
"""Raised when the same recipe, data and seed give other reference networks or answers."""


def reference_halves(examples: Examples, count: int, seed: int) -> list[Examples]:
    """Random halves in complementary pairs: network 2k sees a half, network 2k + 1 the rest.

    Every sample is therefore in exactly count / 2 of them. Where people are known, halves consist of whole people:
    an OUT network then never saw the person at all, as no network saw the people of the test set. Otherwise each
    class is divided in proportion.

    Args:
        examples: the training part.
        count: how many networks; even, at least 2.
        seed: decides the halves, and nothing else.

    Raises:
        DataError: for an odd number, or samples that cannot be halved.
    """
    if count < 2 or count % 2:
        raise DataError(f"{count} reference networks; expected an even number, since they come in pairs")
    halves = []
    for pair in range(count // 2):
        parts = draw_share(
            examples.collection, examples.indices, 0.5, Run(seed=seed).generator(purpose=HALVES + pair)
        )
        if min(map(len, parts)) == 0:
            raise DataError(f"{len(examples)} samples cannot be halved; expected more of them or more people")
        halves += [Examples(examples.collection, part) for part in parts]
    return halves


def train_reference_network(
    form: nn.Module, half: Examples, recipe: Recipe, run: Run, number: int
) -> nn.Module:
    """Train network `number` on its half by the recipe of the original: as many epochs, hence half the steps.

    Its seed follows from the run's seed and its number. It therefore starts from other values than the original
    and the retrained network.

    Args:
        form: a network of the original's form, for instance the original; it is copied, and its values do not matter.
        half: the samples to train on.
        recipe: the original's.
        run: how to run; the same for all reference networks.
        number: which of the reference networks.

    Returns:
        The network in evaluation mode, on the CPU.
    """
    seed = run.generator(purpose=NETWORKS + number).initial_seed() % 2**32
    model = copy.deepcopy(form)
    initialise(model, seed)
    return fit(model, half, recipe, dataclasses.replace(run, seed=seed)).cpu()


def stack_answers(signals: Sequence[Signals], part: Examples, halves: Sequence[Examples]) -> ReferenceAnswers:
    """Stack the answers of all networks to the same samples, and mark each sample's OUT networks.

    Args:
        signals: of each network, in the order of `halves`.
        part: the samples that were evaluated: training samples, or samples that no network was trained on.
        halves: for training samples, the halves that the networks were trained on. For unseen samples,
            `reference_halves` of the unseen samples: this gives them count / 2 OUT networks, as many as a training
            sample has, so that both averages have the same variance.

    Raises:
        DataError: unless every network has one answer per sample.
    """
    if len(signals) != len(halves) or any(len(one) != len(part) for one in signals):
        raise DataError(
            f"{len(signals)} networks with {', '.join(str(len(one)) for one in signals)} answers; expected "
            f"{len(halves)} with {len(part)}"
        )
    return ReferenceAnswers(
        margin=np.stack([one.margin for one in signals]),
        out=np.stack([~np.isin(part.indices.numpy(), half.indices.numpy()) for half in halves]),
    )


def select_answers(answers: ReferenceAnswers, part: Examples, chosen: Examples) -> ReferenceAnswers:
    """Select the answers to some of the samples, for instance to a forget set.

    Raises:
        DataError: when a sample is not in the part.
    """
    place = {int(index): position for position, index in enumerate(part.indices)}
    missing = [int(index) for index in chosen.indices if int(index) not in place]
    if missing:
        raise DataError(f"{len(missing)} samples are not among those answered; expected all of them")
    return answers.take(np.array([place[int(index)] for index in chosen.indices]))
