"""Reference networks: the original's form and recipe, trained on halves of its data.

For every training sample there are networks that saw it and as many that did not. From these the audit
knows how sure of a sample a network is that never saw it (`obliq.auditing.reference_attacks`), and how far an
answer rests on having seen it (`obliq.auditing.reference_attacks`).
"""

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import nn

from obliq.auditing import ReferenceAnswers, ReferenceSignals, Signals, compute_signals
from obliq.data import Examples, Splits
from obliq.data.splits import draw_share
from obliq.errors import DataError
from obliq.models import initialise
from obliq.run import Run
from obliq.training.loop import Recipe, fit

HALVES = 1_000  # purposes of a run's generator, from here on one a pair of networks
NETWORKS = 2_000  # the same for a network's own seed
REFERENCES_VERSION = 1
"""Raised when the same recipe, data and seed give other reference networks or answers."""


def reference_halves(examples: Examples, count: int, seed: int) -> list[Examples]:
    """Random halves in complementary pairs: network 2k sees a half, network 2k + 1 the rest.

    Every sample is therefore in exactly count / 2 of them. As in the division of the data, halves are of whole
    people where people are known and have each class in proportion where not: "never saw it" then
    means a network that never saw the person, as none saw the people of the test set.

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
    """Train network `number` on its half, by the recipe of the original: as many epochs, hence half the steps.

    Its seed is derived from the run's and its number, so that it does not start from the values that the
    original or a retrained network started from.

    Args:
        form: any network of the original's form, itself for instance; its values do not matter, nor change.
        half: what it may see.
        recipe: the original's.
        run: how to run; the same for all networks of a set.
        number: which of the set.

    Returns:
        The network in evaluation mode, on the CPU.
    """
    seed = run.generator(purpose=NETWORKS + number).initial_seed() % 2**32
    model = copy.deepcopy(form)
    initialise(model, seed)
    return fit(model, half, recipe, dataclasses.replace(run, seed=seed)).cpu()


def stack_answers(said: Sequence[Signals], part: Examples, halves: Sequence[Examples]) -> ReferenceAnswers:
    """Put the answers of all networks about one part side by side, and mark who did not see what.

    Args:
        said: the signals of each network, in the order of `halves`.
        part: the samples that they are about: (some of) the training part, or samples that no network saw.
        halves: for training samples, those that the networks were trained on. For unseen ones,
            `reference_halves` of these: no network saw any, but count / 2 are taken for each, as many as a
            training sample has, so that neither side has the steadier average.

    Raises:
        DataError: unless there is one answer a network and sample.
    """
    if len(said) != len(halves) or any(len(one) != len(part) for one in said):
        raise DataError(
            f"{len(said)} networks with {', '.join(str(len(one)) for one in said)} answers; expected "
            f"{len(halves)} with {len(part)}"
        )
    return ReferenceAnswers(
        margin=np.stack([one.margin for one in said]),
        out=np.stack([~np.isin(part.indices.numpy(), half.indices.numpy()) for half in halves]),
    )


def select_answers(answers: ReferenceAnswers, part: Examples, chosen: Examples) -> ReferenceAnswers:
    """Of the answers about a part, those about some of its samples, for instance a forget set's.

    Raises:
        DataError: when a sample is not in the part.
    """
    place = {int(index): position for position, index in enumerate(part.indices)}
    missing = [int(index) for index in chosen.indices if int(index) not in place]
    if missing:
        raise DataError(f"{len(missing)} samples are not among those answered; expected all of them")
    return answers.take(np.array([place[int(index)] for index in chosen.indices]))


def train_reference_signals(
    form: nn.Module, recipe: Recipe, splits: Splits, count: int, run: Run
) -> ReferenceSignals:
    """Train `count` reference networks and ask them what one audit needs.

    Raises:
        DataError: for an odd number, or data that cannot be halved.
    """
    halves = reference_halves(splits.partition.train, count, run.seed)
    unseen = reference_halves(splits.test, count, run.seed)
    said: dict[str, list[Signals]] = {"forget": [], "test": []}
    for number, half in enumerate(halves):
        model = train_reference_network(form, half, recipe, run, number).to(run.device)
        for role, answers in said.items():
            answers.append(compute_signals(model, getattr(splits, role), run.device))
    return ReferenceSignals(
        forget=stack_answers(said["forget"], splits.forget, halves),
        test=stack_answers(said["test"], splits.test, unseen),
    )
