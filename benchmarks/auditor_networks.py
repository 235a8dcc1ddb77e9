"""The networks that `auditor_errors.py` judges: true retrainings, and fakes of nine kinds, with their answers."""

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from obliq.auditing import RoleSignals, Signals
from obliq.auditing.signals import Relearned
from obliq.checkpoints import Blueprint
from obliq.data import Partition, PartitionRule, Splits, load_dataset, parse_selector, partition, select
from obliq.methods import OEU, Calibrated, GradientAscent, Method
from obliq.models import initialise
from obliq.quantization import Precision
from obliq.run import Run
from obliq.training.loop import Recipe, fit
from obliq.workflow.compare_files import network_signals

CPU = torch.device("cpu")
TEST = 1500  # samples at most


@dataclass(frozen=True)
class Setting:
    """Data, a network and requests.

    Attributes:
        name: heads the table.
        data: the data set.
        seed: of the division and of everything else.
        requests: as selectors; `writers=N` stands for the N writers with most training samples, each a request. With
            ` again`, a random request is drawn by another seed.
        originals: how many networks before the request.
        architecture: of the networks.
        recipe: of their training.
        limit: training samples at most; 0 for all.
        relearned: whether relearning is measured, for which networks that were trained before must be trained again.
        fresh: whether no constant of the verdict's rule was chosen after a look at these networks.
    """

    name: str
    data: str
    seed: int
    requests: tuple[str, ...]
    originals: int
    architecture: str
    recipe: Recipe
    limit: int = 0
    relearned: bool = False
    fresh: bool = False

    def divided(self, folder: Path | None) -> Partition:
        """The data and who is trained on; at most `TEST` test samples."""
        parts = partition(load_dataset(self.data, folder), PartitionRule(seed=self.seed, limit=self.limit))
        return dataclasses.replace(parts, test=parts.test.spread(TEST))

    def splits(self, parts: Partition) -> dict[str, Splits]:
        """The roles of each request."""
        names = list(self.requests)
        if names[0].startswith("writers="):
            writers = Counter(parts.collection.subjects[parts.train.indices].tolist())
            names = [f"subject={writer}" for writer, _ in writers.most_common(int(names[0][8:]))]
        seeds = {name: self.seed + name.endswith(" again") for name in names}
        selectors = {name: parse_selector(name.removesuffix(" again")) for name in names}
        return {name: parts.forgetting(select(selectors[name], parts, seeds[name])) for name in names}


DIGITS = Recipe(epochs=40, learning_rate=0.02, weight_decay=2e-3, batch_size=64)
IMAGES = Recipe(epochs=12, learning_rate=0.1, batch_size=64)
SETTINGS = (
    Setting("digits, one writer", "digits", 11, ("writers=3",), 3, "convnet", DIGITS, relearned=True),
    Setting("digits, one writer", "digits", 12, ("writers=3",), 3, "convnet", DIGITS),
    Setting("MNIST, one writer", "mnist", 11, ("writers=2",), 2, "strided-convnet", IMAGES, 1500),
    Setting(
        "Fashion-MNIST, a random tenth",
        "fashion-mnist",
        11,
        ("random=10%", "random=10% again"),
        2,
        "strided-convnet",
        IMAGES,
        1800,
    ),
    Setting(
        "Fashion-MNIST, a class",
        "fashion-mnist",
        12,
        ("class=2", "class=5", "class=8"),
        2,
        "strided-convnet",
        IMAGES,
        1800,
    ),
    Setting("digits, one writer", "digits", 13, ("writers=3",), 3, "convnet", DIGITS, fresh=True),
    Setting("MNIST, one writer", "mnist", 13, ("writers=2",), 2, "strided-convnet", IMAGES, 1500, fresh=True),
    Setting(
        "Fashion-MNIST, a random tenth",
        "fashion-mnist",
        13,
        ("random=10%", "random=10% again"),
        2,
        "strided-convnet",
        IMAGES,
        1800,
        fresh=True,
    ),
    Setting(
        "Fashion-MNIST, a class",
        "fashion-mnist",
        14,
        ("class=0", "class=1", "class=3", "class=4", "class=6", "class=7", "class=9"),
        2,
        "strided-convnet",
        IMAGES,
        1800,
        fresh=True,
    ),
)


class SettingNetworks:
    """Trains the networks of a setting, and reads the answers of those that were trained before."""

    def __init__(self, setting: Setting, folder: Path | None, keep: Path) -> None:
        self.setting, self.keep = setting, keep
        self.by_writers = setting.requests[0].startswith("writers=")
        self.networks: dict[tuple[str | None, int], nn.Module] = {}
        self.parts = setting.divided(folder)
        self.splits = setting.splits(self.parts)
        self.blueprint = Blueprint(
            architecture=setting.architecture,
            input_shape=self.parts.collection.sample_shape,
            classes=self.parts.collection.classes,
            precision=Precision(4, 4),
        )

    def trained(self, request: str | None, seed: int) -> nn.Module:
        """A network trained without a request's samples; on all of them for None."""
        if (request, seed) not in self.networks:
            examples = self.parts.train if request is None else self.splits[request].retain
            model = self.blueprint.build()
            initialise(model, seed)
            made = fit(model, examples, self.setting.recipe, Run(seed=seed)).cpu()
            self.networks[request, seed] = made
        return copy.deepcopy(self.networks[request, seed])

    def answers(self, request: str, name: str, make: Callable[[], nn.Module]) -> RoleSignals:
        """What a network answers in the roles of a request; the network is made if that is not known."""
        splits = self.splits[request]
        file = self.keep / f"{self.setting.data}-{self.setting.seed}-{request}-{name}.npz"
        if not file.exists():
            np.savez(file, **stored(network_signals(make(), splits, CPU, relearned=self.setting.relearned)))
        return restored({name: torch.from_numpy(value) for name, value in np.load(file).items()}, splits)


def stored(answers: RoleSignals) -> dict[str, np.ndarray]:
    """The logits in every role, and after relearning with the labels of its samples."""
    values = {role: getattr(answers, role).logits for role in ("forget", "retain", "test")}
    if answers.probe is not None:
        values["probe"] = answers.probe.logits
    if answers.relearned is not None:
        for role in ("forget", "unseen"):
            signals = getattr(answers.relearned, role)
            values |= {f"relearned {role}": signals.logits, f"relearned {role}, labels": signals.labels}
    return {name: value.numpy() for name, value in values.items()}


def restored(values: dict[str, Tensor], splits: Splits) -> RoleSignals:
    """What `stored` gave."""
    labels = {role: getattr(splits, role).labels for role in ("forget", "retain", "test")}
    classes = torch.tensor(sorted(splits.forgotten_classes), dtype=torch.int64)
    labels["probe"] = splits.test.labels[torch.isin(splits.test.labels, classes)]
    roles = {role: Signals(values[role], known) for role, known in labels.items() if role in values}
    again = {
        role: Signals(values[f"relearned {role}"], values[f"relearned {role}, labels"])
        for role in ("forget", "unseen")
        if f"relearned {role}" in values
    }
    return RoleSignals(**roles, relearned=Relearned(**again) if again else None)


def changed(answers: RoleSignals, change: Callable[[Tensor, Tensor], Tensor], *roles: str) -> RoleSignals:
    """The answers with other logits in these roles, from the logits and the labels.

    Like a file, such a fake has no weights that could be trained, so that there is no relearning.
    """
    new = {
        role: Signals(change(one.logits, one.labels), one.labels)
        for role in roles
        if (one := getattr(answers, role)) is not None
    }
    return dataclasses.replace(answers, relearned=None, **new)


def mixed(answers: RoleSignals, original: RoleSignals, share: float) -> RoleSignals:
    """The answers with a share of the original's logits in them: what is left of a memory that was mostly removed."""
    for role in ("forget", "retain", "test"):
        before = share * getattr(original, role).logits
        answers = changed(answers, lambda logits, _, before=before: (1 - share) * logits + before, role)
    return answers


def wrong(logits: Tensor, labels: Tensor) -> Tensor:
    """The true class and the strongest other one change places."""
    swapped, rows = logits.clone(), torch.arange(len(logits))
    true = logits[rows, labels]
    others = logits.clone()
    others[rows, labels] = -torch.inf
    best = others.argmax(1)
    swapped[rows, labels], swapped[rows, best] = (
        torch.minimum(true, logits[rows, best]),
        torch.maximum(true, logits[rows, best]),
    )
    return swapped


def flat(logits: Tensor, _: Tensor) -> Tensor:
    """A tenth of the logits, which is nearly the same probability for every class."""
    return logits / 10


def noisy(deviation: float, seed: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Adds normal noise to logits."""
    generator = torch.Generator().manual_seed(seed)
    return lambda logits, _: logits + deviation * torch.randn(logits.shape, generator=generator)


def without(classes: Collection[int]) -> Callable[[Tensor, Tensor], Tensor]:
    """Makes the logits of classes the lowest, as an edited last layer does."""

    def edited(logits: Tensor, _: Tensor) -> Tensor:
        lower = logits.clone()
        lower[:, sorted(classes)] = logits.min(dim=1, keepdim=True).values - 2
        return lower

    return edited


ASCENT = GradientAscent(epochs=5, learning_rate=3e-4)
METHODS = {
    "calibrated": Calibrated(epochs=3, retain_batch=64),
    "entropy": OEU(objective="entropy", epochs=3, retain_batch=64),
}


def fakes(work: SettingNetworks, request: str) -> Iterator[tuple[str, RoleSignals, RoleSignals]]:
    """Kind, fake and the original that it is to be judged with."""
    splits, roles = work.splits[request], ("forget", "retain", "test")
    every = (*roles,)
    for number in range(work.setting.originals):

        def network(number: int = number) -> nn.Module:
            return work.trained(None, number)

        def tuned(number: int = number) -> nn.Module:
            once = dataclasses.replace(
                work.setting.recipe, epochs=1, learning_rate=work.setting.recipe.learning_rate / 2
            )
            return fit(network(number), splits.retain, once, Run(seed=50 + number)).cpu()

        original = work.answers(request, f"original-{number}", network)
        yield "the original", original, original
        yield "the original, one more epoch", work.answers(request, f"tuned-{number}", tuned), original
        yield "its logits at a temperature of 2", changed(original, lambda one, _: one / 2, *every), original
        deviation = float(original.test.logits.std())
        yield "its logits with noise", changed(original, noisy(0.3 * deviation, number), *every), original
        yield "a filter: wrong answers for the forget set", changed(original, wrong, "forget"), original
        yield "over-forgotten: flat answers for the forget set", changed(original, flat, "forget"), original

        def unlearned(
            method: Method, network: Callable[[], nn.Module] = network, number: int = number
        ) -> nn.Module:
            return method.unlearn(network(), splits, Run(seed=number))

        ascended = work.answers(request, f"ascent-{number}", lambda make=unlearned: make(ASCENT))
        yield "the original after gradient ascent", ascended, original
        if splits.forgotten_classes:
            yield (
                "the last layer alone edited",
                changed(original, without(splits.forgotten_classes), *every),
                original,
            )
        for other in work.splits:
            if other != request:
                model = lambda other=other, number=number: work.trained(other, 100 + number)  # noqa: E731
                yield (
                    "another request forgotten instead",
                    work.answers(request, f"{other}-{number}", model),
                    original,
                )
        for name, method in METHODS.items() if work.by_writers else ():
            answers = work.answers(
                request, f"{name}-{number}", lambda make=unlearned, method=method: make(method)
            )
            yield f"unlearned: {name}", answers, original
