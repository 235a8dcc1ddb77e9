"""Whether the default learning rate trains each built-in network for images.

    python benchmarks/default_rates.py --data-folder DIR [--problems digits fashion large]
        [--networks resnet18 ...] [--minutes 5]

Each network is trained by the default recipe, with 5 epochs and one seed: on the digits, on 4,000 images of
Fashion-MNIST, and in batches of 32 on 240 images that are enlarged to 64 x 64 pixels, 57 % of which are of one class.
A rate fails where test accuracy lies less than a tenth of the way from always giving the most frequent class to 100 %.
A training that would take more than `--minutes` of processor time is left out, and its row states that. Problems and
networks that are not named keep their tables and rows. The column of the logit step states how each row was trained.
"""

import argparse
import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import obliq
from obliq.data import Examples
from obliq.models import ARCHITECTURES
from obliq.workflow.baseline import is_near_chance, most_frequent_share

NETWORKS = ("convnet", "strided-convnet", "resnet20", "mobilenetv2", "resnet18")
BITS = ("W8A8", "W4A4")
TABLE = Path(__file__).parent / "results" / "default_rates.md"

UNEVEN = (137, 52, 51)
"""Training images of three classes: 57 % are of the first."""

DEFAULT = obliq.Recipe(epochs=5)
LOWER = 0.003
"""The rate that is tried where the default one fails."""


@dataclass(frozen=True)
class Problem:
    """What networks are trained on, and how."""

    title: str
    train: Examples
    test: Examples
    recipe: obliq.Recipe = DEFAULT


def digits(folder: Path) -> Problem:
    """The digits of scikit-learn."""
    train, _, test = obliq.train_holdout_test_split(obliq.load_dataset("digits"), seed=0)
    return Problem(f"Digits: {len(train):,} images of 8 x 8", train, test)


def fashion(folder: Path) -> Problem:
    """The first images of Fashion-MNIST."""
    collection = obliq.load_dataset("fashion-mnist", folder)
    unseen = torch.nonzero(collection.official_test).flatten()[:1000]
    train, test = Examples(collection, torch.arange(4000)), Examples(collection, unseen)
    return Problem("Fashion-MNIST: 4,000 images of 28 x 28", train, test)


def large(folder: Path) -> Problem:
    """Images of 64 x 64 pixels of three classes, of which one has more than half of the samples."""
    collection = obliq.load_dataset("fashion-mnist", folder)
    chosen = []
    for marks, count in ((~collection.official_test, UNEVEN), (collection.official_test, UNEVEN)):
        places = [
            torch.nonzero(marks & (collection.labels == label)).flatten() for label in range(len(count))
        ]
        chosen.append(torch.cat([found[:most] for found, most in zip(places, count, strict=True)]))
    every = torch.cat(chosen)
    inputs = F.interpolate(collection.fetch(every), size=(64, 64), mode="bilinear", align_corners=False)
    enlarged = obliq.Collection("enlarged", inputs, collection.labels[every])
    count = len(chosen[0])
    return Problem(
        f"Fashion-MNIST, three classes: {count} images of 64 x 64, batches of 32",
        Examples(enlarged, torch.arange(count)),
        Examples(enlarged, torch.arange(count, len(every))),
        obliq.Recipe(epochs=5, batch_size=32),
    )


PROBLEMS: Mapping[str, Callable[[Path], Problem]] = {"digits": digits, "fashion": fashion, "large": large}


def logit_step(problem: Problem) -> str:
    """Whether the step of the logits is learned in this training, or measured after it."""
    return problem.recipe.settled(len(problem.train)).logit_steps or "learned"


def row(problem: Problem, name: str, bits: str, minutes: float) -> str:
    """Train one network, unless a step shows that this takes too long."""
    collection = problem.train.collection
    own = ARCHITECTURES[name].learning_rate or problem.recipe.learning_rate
    recipe = dataclasses.replace(problem.recipe, learning_rate=own)
    network = obliq.create_network(name, collection.sample_shape, collection.classes, precision=bits)
    begun = time.process_time()
    one_step = dataclasses.replace(recipe, epochs=1, norm_statistics="running", logit_steps="learned")
    obliq.train(network, problem.train.take(recipe.batch_size), one_step, progress=False)
    steps = recipe.epochs * len(problem.train) / recipe.batch_size
    expected = (time.process_time() - begun) * steps / 60
    if expected > minutes:
        return f"| {name} | {bits} | {logit_step(problem)} | - | left out: about {expected:.0f} minutes |"
    right, outcome = trained_accuracy(problem, network, recipe), "trains"
    if is_near_chance(right, most_frequent_share(problem.test)):
        lower = dataclasses.replace(recipe, learning_rate=LOWER)
        outcome = f"FAILS; {trained_accuracy(problem, network, lower):.1f} at the rate {LOWER}"
    return f"| {name} | {bits} | {logit_step(problem)} | {right:.1f} | {outcome} |"


def trained_accuracy(problem: Problem, network: nn.Module, recipe: obliq.Recipe) -> float:
    """Percent of the test samples to which the network gives the right class after training."""
    trained = obliq.train(network, problem.train, recipe, progress=False)
    answers = obliq.predict(trained, problem.test).argmax(1)
    return 100 * float((answers == problem.test.labels).double().mean())


def table(problem: Problem, networks: Sequence[str], minutes: float, old: str) -> str:
    """One line for each network and precision; networks that are not named have that of the old table."""
    lines = []
    for name in NETWORKS:
        for bits in BITS:
            kept = re.search(rf"^\| {name} \| {bits} \|.*$", old, re.MULTILINE)
            if name in networks or kept is None:
                lines.append(row(problem, name, bits, minutes))
                print(lines[-1], flush=True)
            else:
                lines.append(kept.group())
    return (
        f"## {problem.title}\n\nAlways giving the most frequent class answers "
        f"{most_frequent_share(problem.test):.1f} % of {len(problem.test):,} test samples correctly.\n\n"
        "| network | bits | logit step | test accuracy, % | |\n| --- | --- | --- | ---: | --- |\n"
        + "\n".join(lines)
        + "\n"
    )


def main() -> None:
    """A table for each problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-folder", type=Path, required=True, help="where Fashion-MNIST is")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--minutes", type=float, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    old = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    kept = {
        part.split(":")[0]: part for part in re.findall(r"^## .*?(?=^## |\Z)", old, re.DOTALL | re.MULTILINE)
    }
    for name in arguments.problems:
        problem = PROBLEMS[name](arguments.data_folder)
        print(problem.title, flush=True)
        heading = f"## {problem.title.split(':')[0]}"
        kept[heading] = table(problem, arguments.networks, arguments.minutes, kept.get(heading, ""))
        TABLE.write_text(
            "# The default learning rate\n\n"
            "Written by `benchmarks/default_rates.py`. The built-in networks for images, trained with the default "
            f"recipe\n(rate {DEFAULT.learning_rate}, and {ARCHITECTURES['mobilenetv2'].learning_rate} for MobileNetV2; "
            f"batches of {DEFAULT.batch_size} if not stated otherwise) for {DEFAULT.epochs} epochs,\none seed. "
            "Below 100 steps, batch norm's statistics are measured after training, and so is the step of the logits\n"
            "by default. A training of more than\n"
            f"{arguments.minutes:g} minutes of processor time is left out. PyTorch {torch.__version__}, one thread.\n\n"
            + "\n".join(part.rstrip("\n") + "\n" for part in kept.values()),
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
