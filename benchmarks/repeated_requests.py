"""Requests that keep coming: three ways to answer them, compared with retraining after each.

The handwritten digits, the ConvNet of the demo at W4A4, `proxy-matching` at its defaults. Two streams: five requests of
1.5 % of the training samples each, drawn at random, and three classes. Each stream is answered in three orders:

- from the last network: every request starts from the network that the request before it left;
- from the original: every time, with the union of all requests so far;
- gathered: all requests of the stream at once, from the original.

After each request, two networks are retrained on what remains. Devices take every release, so that codes and patch
bytes are sums over the patches from one release to the next. Writes results/repeated_requests.csv row by row, goes on
after the rows that are there, and makes results/repeated_requests.md of them.

    python benchmarks/repeated_requests.py [--kept DIR] [--steps N]
"""

import argparse
import dataclasses
import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from obliq.checkpoints import Blueprint, Checkpoint, load_checkpoint, save_checkpoint
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.data import Partition, parse_selector, select
from obliq.data.request_file import Request
from obliq.methods import ProxyMatching, Retrain
from obliq.patch import Content, encode_patch, network_content, patch_bound
from obliq.quantization import Precision, float_state, integer_state
from obliq.run import Run
from obliq.training.prediction import predict
from obliq.workflow import demo
from obliq.workflow.earlier_requests import join_requests, samples_of
from obliq.workflow.pipeline import recipe_of, train_original, unlearn_original
from repeated_requests_table import append, read, write_table

FORM = Blueprint(architecture="convnet", input_shape=(1, 8, 8), classes=10, precision=Precision(4, 4))
RECIPE = dataclasses.replace(demo.RECIPE, epochs=20)
SEED = 0
REFERENCES = 2
SHARE = 0.015
ORDERS = {
    "small": ((0, 1, 2, 3, 4), (4, 2, 0, 3, 1), (2, 4, 1, 0, 3)),
    "classes": ((0, 1, 2), (2, 0, 1), (1, 2, 0)),
}
CLASSES = (3, 5, 8)


@dataclass(frozen=True)
class Answers:
    """The probability of every class, for each training and test sample."""

    train: Float[Tensor, "train classes"]
    test: Float[Tensor, "test classes"]

    @classmethod
    def of(cls, network: nn.Module, parts: Partition) -> "Answers":
        """What a network answers."""
        return cls(*(predict(network, part).softmax(dim=1) for part in (parts.train, parts.test)))


@dataclass(frozen=True)
class Stream:
    """Requests in one order."""

    parts: Partition
    original: Checkpoint
    name: str
    order: int

    @cached_property
    def requests(self) -> list[Request]:
        """The requests, in this order; no sample is in two of them."""
        if self.name == "classes":
            found = [self._request(f"class={label}") for label in CLASSES]
        else:
            count = round(SHARE * len(self.parts.train))
            shuffled = torch.randperm(len(self.parts.train), generator=torch.Generator().manual_seed(SEED))
            chosen = [shuffled[number * count : (number + 1) * count] for number in range(5)]
            found = [
                Request.of(
                    self.parts.forgetting(self.parts.train.indices[one].sort().values), f"random={count}"
                )
                for one in chosen
            ]
        return [found[place] for place in ORDERS[self.name][self.order]]

    def _request(self, selector: str) -> Request:
        return Request.of(self.parts.forgetting(select(parse_selector(selector), self.parts, SEED)), selector)

    def marked(self, requests: Sequence[Request]) -> Bool[Tensor, " train"]:
        """Marks the training samples of some requests."""
        ids = torch.tensor([number for one in requests for number in one.ids], dtype=torch.int64)
        return torch.isin(self.parts.train.indices, ids)

    def answer(self, base: Checkpoint, step: int, earlier: Sequence[Request]) -> Checkpoint:
        """The network after the requests up to a step that are not among the earlier ones."""
        request = join_requests(self.requests[len(earlier) : step], self.parts, earlier)
        run = Run(seed=1 + 10 * self.order + step)
        splits = request.splits(self.parts)
        return unlearn_original(base, splits, request, ProxyMatching(record_every=0), run).checkpoint

    def retrained(self, step: int, number: int) -> Checkpoint:
        """A network that never received the samples of the requests up to a step."""
        request = join_requests(self.requests[:step], self.parts)
        method = Retrain(recipe=recipe_of(self.original.provenance))
        splits = request.splits(self.parts)
        return unlearn_original(self.original, splits, request, method, Run(seed=1_000 + number)).checkpoint

    def measure(self, found: Answers, references: Sequence[Answers], step: int) -> dict[str, float]:
        """Differences of a network to the mean of the retrained ones, in points."""
        mine, wanted = self._numbers(found, step), [self._numbers(one, step) for one in references]
        away = {name: value - statistics.mean(one[name] for one in wanted) for name, value in mine.items()}
        gaps = [abs(away[name]) for name in ("all_accuracy", "retain_accuracy", "test_accuracy")]
        return {name: value for name, value in away.items() if name != "all_accuracy"} | {
            "gap": statistics.mean(gaps)
        }

    def _numbers(self, found: Answers, step: int) -> dict[str, float]:
        newest, earlier = self.marked([self.requests[step - 1]]), self.marked(self.requests[: step - 1])
        labels = self.parts.train.labels
        right = (found.train.argmax(dim=1) == labels).double()
        sure = found.train.gather(1, labels.unsqueeze(1)).squeeze(1).double()
        kept = ~(newest | earlier)
        remaining = torch.isin(self.parts.test.labels, labels[kept])
        tested = (found.test.argmax(dim=1) == self.parts.test.labels).double()[remaining]
        numbers = {
            "newest_accuracy": right[newest],
            "newest_confidence": sure[newest],
            "retain_accuracy": right[kept],
            "test_accuracy": tested,
            "all_accuracy": right[~kept],
        }
        if step > 1:
            numbers |= {"earlier_accuracy": right[earlier], "earlier_confidence": sure[earlier]}
        return {name: 100 * float(values.mean()) for name, values in numbers.items()}


def content(network: Checkpoint) -> Content:
    """Everything that a device stores of a network."""
    return network_content(integer_state(network.model), float_state(network.model))


def released(old: Checkpoint, new: Checkpoint) -> dict[str, int]:
    """The patch from one release to the next."""
    changed = patch_bound(content(old), content(new))
    return {"codes": changed.changed_codes, "bytes": len(encode_patch(content(old), content(new)))}


@dataclass(frozen=True)
class Kept:
    """Networks that were computed before, in a folder; so that the script can go on where it stopped."""

    folder: Path

    def network(self, name: str, compute: Callable[[], Checkpoint]) -> tuple[Checkpoint, float]:
        """A network and the processor time that it took, in seconds."""
        place = self.folder / name
        if not place.exists():
            started = time.process_time()
            found = compute()
            save_checkpoint(place, found, created=f"{time.process_time() - started:.3f}")
        return load_checkpoint(place), float(NETWORK_DOCUMENT.read(place / DOCUMENT_FILE).created or 0)


def step_rows(stream: Stream, step: int, kept: Kept) -> list[dict[str, object]]:
    """All rows of one step of a stream: after its first `step` requests."""
    parts, original, name = stream.parts, stream.original, f"{stream.name}-{stream.order}"

    def network(way: str, at: int) -> tuple[Checkpoint, float]:
        if at == 0:
            return original, 0.0
        chained = way == "last"
        base = network(way, at - 1)[0] if chained else original
        earlier = stream.requests[: at - 1] if chained else []
        place = f"{name}-{way}-{at}-version-{ProxyMatching.version}"
        return kept.network(place, lambda: stream.answer(base, at, earlier))

    gone = hashlib.sha256(str(samples_of(stream.requests[:step]).tolist()).encode()).hexdigest()[:12]
    references = [
        Answers.of(
            kept.network(f"retrained-{gone}-{one}", partial(stream.retrained, step, one))[0].model, parts
        )
        for one in range(REFERENCES)
    ]
    rows: list[tuple[str, Answers, Sequence[Answers], dict[str, float]]] = []
    for way, word in (("last", "last network"), ("union", "original")):
        found, seconds = network(way, step)
        more = {"seconds": seconds, **released(network(way, step - 1)[0], found)}
        rows.append((word, Answers.of(found.model, parts), references, more))
    if step == len(stream.requests):  # the same network; what differs is that there was no release before
        more = {"seconds": seconds, **released(original, found)}
        rows.append(("gathered", rows[-1][1], references, more))
    rows.append(("nothing done", Answers.of(original.model, parts), references, {}))
    rows.append(("retrained again", references[1], references[:1], {}))
    return [
        {
            "version": ProxyMatching.version,
            "stream": stream.name,
            "order": stream.order,
            "step": step,
            "way": way,
        }
        | stream.measure(one, compared, step)
        | more
        for way, one, compared, more in rows
    ]


def measure(kept: Kept, most: int) -> None:
    """Compute the rows that are missing, at most so many steps of them."""
    torch.set_num_threads(1)
    parts = demo.divided(SEED)
    original = kept.network(
        "original", lambda: train_original(parts, FORM, RECIPE, Run(seed=SEED)).checkpoint
    )[0]
    done = {(row["stream"], int(row["order"]), int(row["step"])) for row in read()}
    for order in range(max(map(len, ORDERS.values()))):
        for name in ORDERS:
            stream = Stream(parts, original, name, order)
            for step in range(1, len(stream.requests) + 1):
                if (name, order, step) in done or most == 0:
                    continue
                print(f"{name}, order {order + 1}, request {step} of {len(stream.requests)}", flush=True)
                append(step_rows(stream, step, kept))
                most -= 1


def main() -> None:
    """Compute what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kept", type=Path, default=Path("repeated_requests.kept"), help="folder for the networks"
    )
    parser.add_argument(
        "--steps", type=int, default=-1, help="stop after so many requests; all when left out"
    )
    given = parser.parse_args()
    given.kept.mkdir(exist_ok=True)
    measure(Kept(given.kept), given.steps)
    write_table({name: len(orders[0]) for name, orders in ORDERS.items()})


if __name__ == "__main__":
    main()
