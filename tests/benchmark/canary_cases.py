"""What canaries compute: small cases of every part whose version a key counts; see `tests.benchmark.canaries`.

Networks are described by how far and in which direction their parameters moved, so that small terms count. Steps are
few and short: many or long ones would amplify rounding, once a code flips.
"""

import dataclasses
import functools
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.auditing import memorisation_scores
from obliq.auditing.reference_models import reference_halves, train_reference_network
from obliq.benchmark import execute
from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import Environment, TaskKeys
from obliq.benchmark.execute import measure_network
from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup
from obliq.benchmark.tasks import (
    Experiment,
    OriginalTask,
    Problem,
    ReferenceTask,
    RetrainedTask,
    UnlearnedTask,
)
from obliq.benchmark.variants import ablations, every_variant
from obliq.benchmark.worker_state import WorkerState
from obliq.checkpoints import Blueprint
from obliq.data import Collection, Examples, Partition, PartitionRule, Splits, partition
from obliq.methods import FineTune, Masked, Method, RandomLabel, Retrain
from obliq.methods.proxy_matching import proxy_matching
from obliq.models import initialise
from obliq.models.architectures import ARCHITECTURES
from obliq.quantization import Precision, calibrate_steps, learned_steps, quantize
from obliq.run import Run
from obliq.training.loop import Recipe, fit
from tests.auditing.synthetic import network, references

Numbers = list[float]
SMALLEST = 1e-9
"""Movements below it are rounding."""
RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.01, weight_decay=0.02, warmup=0.3, augment=True)
SHORT: Mapping[str, Any] = {
    "epochs": 1,
    "batch_size": 8,
    "retain_batch": 8,
    "forget_batch": 4,
    "samples": 12,
    "attack_steps": 3,
    "retain_limit": 16,
    "weight_decay": 0.02,
    "augment": True,
    "recipe": RECIPE,
}
"""Fields of methods, where they have them: few steps, in which every term has a share."""
LARGEST: Mapping[str, Any] = {"epochs": 1, "retain_limit": 16, "learning_rate": 0.02}
"""Many or long steps would amplify rounding: one code that flips, and the paths part."""


def methods() -> Iterator[tuple[str, Method]]:
    """The method of every variant and ablation, as short as can be; equal ones once.

    A method with a search space is there twice: with its defaults, and with its last candidate.
    """
    named: dict[str, Method] = {
        "retrain": Retrain(recipe=RECIPE),
        "masked": Masked(method=RandomLabel(epochs=1)),
    }
    for one in (*every_variant(), *ablations()):
        named[one.name] = shortened(one, {})
        named[f"{one.name}, last trial"] = shortened(one, one.candidates()[-1])
    seen: list[Method] = []
    for name, method in named.items():
        if method not in seen:
            seen.append(method)
            yield name, method


def shortened(variant: MethodVariant, tuned: Mapping[str, Any]) -> Method:
    """A variant's method with few steps; the fields in which variants differ stay."""
    known = {one.name for one in dataclasses.fields(variant.method_class)}  # type: ignore[arg-type]
    method: Any = variant.build({name: value for name, value in SHORT.items() if name in known} | dict(tuned))
    less = {name: min(getattr(method, name), most) for name, most in LARGEST.items() if name in known}
    return dataclasses.replace(method, **less)  # type: ignore[no-any-return]


@functools.cache
def people(size: int = 6, channels: int = 1, classes: int = 3) -> Collection:
    """Noisy pictures of templates, by 16 people of whom four samples are known each."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % classes
    shape = (channels, size, size)
    templates = torch.randn(classes, *shape, generator=generator)
    inputs = templates[labels] + torch.randn(64, *shape, generator=generator)
    names = tuple(map(str, range(classes)))
    return Collection("canary", inputs, labels, torch.arange(64) // 4, class_names=names)


@functools.cache
def fitted() -> tuple[nn.Module, Splits]:
    """A network that knows its data a little, and a request; made without the parts that have versions."""
    collection = people()
    ids = torch.arange(64)
    train_part, holdout, test = (Examples(collection, ids[start::4]) for start in (0, 1, 2))
    train_part = Examples(collection, torch.cat([ids[0::4], ids[3::4]]).sort().values)
    splits = Partition(PartitionRule(), train_part, holdout, test).forgetting(
        train_part.indices[:8], salt=bytes(32)
    )
    inputs, labels = collection.inputs[train_part.indices], train_part.labels
    assert isinstance(inputs, Tensor)
    model = plain("convnet", (1, 6, 6), "FP32")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model = quantize(model, Precision(4, 4))
    calibrate_steps(model, inputs)
    return model.eval(), splits


def plain(architecture: str, shape: tuple[int, ...], bits: str, *, paper: bool = False) -> nn.Module:
    """A network with initial values."""
    model = Blueprint(
        architecture=architecture,
        input_shape=shape,
        classes=3,
        precision=Precision.parse(bits),
        preset="paper" if paper else "deploy",
        weight_grid="per_tensor" if paper else "per_channel",
    ).build()
    initialise(model, 1)
    return model


def unlearned(method: Method) -> Numbers:
    """Where a method moves the fitted network; unlike those that it starts from, retraining draws new values.

    Proxies start from new values, too. Sixty steps from there would amplify rounding.
    """
    model, splits = fitted()
    with mock.patch.object(proxy_matching, "FEWEST_STEPS", 1):
        return moved(model, method.unlearn(model, splits, Run(seed=1)))


def trained() -> Numbers:
    """Where training moves the fitted network; from initial values on, retraining trains too."""
    model, splits = fitted()
    return moved(model, fit(model, splits.retain, RECIPE, Run(seed=1)))


def built(architecture: str) -> Numbers:
    """The initial values of a network, and its answers before and after it is quantized."""
    images = people(8).inputs
    assert isinstance(images, Tensor)
    inputs = images[:4].flatten(2) if len(ARCHITECTURES[architecture].layout) < 3 else images[:4]
    shape = tuple(inputs.shape[1:])
    real, deployed, paper = (
        plain(architecture, shape, bits, paper=paper).eval()
        for bits, paper in (("FP32", False), ("W8A8", False), ("W8A8", True))
    )
    calibrate_steps(deployed, inputs)
    calibrate_steps(paper, inputs)
    with torch.no_grad():
        answers = {
            name: {"logits": model(inputs)}
            for name, model in (("real", real), ("deployed", deployed), ("paper's", paper))
        }
    return [
        *lengths("parameters", dict(real.named_parameters())),
        *(number for name, logits in answers.items() for number in lengths(name, logits)),
    ]


def moved(before: nn.Module, after: nn.Module) -> Numbers:
    """Movement of weights, learned steps, other parameters, and statistics."""
    of_steps = {id(one) for one in learned_steps(before)}
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "steps": {}, "others": {}, "statistics": {}}
    new = dict(after.named_parameters()) | dict(after.named_buffers())
    for name, old in before.named_parameters():
        group = "steps" if id(old) in of_steps else "weights" if old.dim() > 1 else "others"
        groups[group][name] = new[name].detach() - old.detach()
    for name, old in before.named_buffers():
        if old.is_floating_point() and new[name].shape == old.shape:
            groups["statistics"][name] = new[name] - old
    return [number for group, tensors in groups.items() for number in lengths(group, tensors)]


def lengths(seed: str, tensors: Mapping[str, Tensor]) -> Numbers:
    """The length of a vector of tensors, as its logarithm, and two coordinates of its direction."""
    vector = torch.cat(
        [one.detach().double().flatten() for one in tensors.values()] or [torch.zeros(1).double()]
    )
    length = float(vector.norm())
    if length < SMALLEST:
        return [0.0, 0.0, 0.0]
    generator = torch.Generator().manual_seed(len(seed))
    axes = torch.randn(2, len(vector), generator=generator, dtype=torch.float64)
    return [math.log10(length), *(axes @ vector / length).tolist()]


def divided() -> Numbers:
    """The first ids of every part, with people and without, limited and not."""
    owned = people()
    nobody = dataclasses.replace(owned, subjects=None)
    rules = PartitionRule(seed=3), PartitionRule(seed=3, holdout=0.25, test=0.25, limit=20)
    parts = (partition(collection, rule) for collection in (owned, nobody) for rule in rules)
    return [
        float(number)
        for part in parts
        for some in (part.train, part.holdout, part.test)
        for number in (len(some), int(some.indices[0]), int((some.indices**2).sum()))
    ]


def chosen() -> Numbers:
    """Who is forgotten under every kind of request."""
    parts = partition(people(), PartitionRule(seed=3))
    scores = torch.linspace(-1, 1, len(parts.train)).sin().double().flip(0) ** 3
    texts = (
        "random=20%",
        "random=7",
        "class=1",
        "subjects=2",
        "memorised=low",
        "memorised=medium",
        "memorised=high",
    )
    ids = (Scenario(one).select_forget_set(parts, 5, scores) for one in texts)
    return [float(number) for some in ids for number in (len(some), int(some[0]), int((some**2).sum()))]


def referred() -> Numbers:
    """Who is in the halves, and a network trained on one of them."""
    model, splits = fitted()
    halves = reference_halves(splits.partition.train, 4, 2)
    after = train_reference_network(model, halves[3], RECIPE, Run(seed=2), 3)
    return [*(float((half.indices**2).sum()) for half in halves), *moved(model, after)]


def memorised() -> Numbers:
    """The scores of some samples."""
    return [float(one) for one in memorisation_scores(references(seed=1).forget)[:8]]


def audited() -> Numbers:
    """All numbers of a network that does not exist, with a class forgotten and without."""
    answers = network(3.0, 1)
    found = [
        measure_network(answers, frozenset(), references()),
        measure_network(answers, frozenset({1}), None),
    ]
    return [float(value) for one in found for value in one.values() if value is not None]


def done() -> Numbers:
    """The answers of a network from each kind of task, as a benchmark makes them."""
    collection, recipe = people(), dataclasses.replace(RECIPE, epochs=1)
    experiment = Experiment(setup=Setup(data="canary", architecture="convnet", recipe=recipe), seed=4)
    problem = Problem(experiment=experiment, scenario=Scenario("random=20%"), references=2)
    tasks = (
        OriginalTask(experiment=experiment),
        ReferenceTask(experiment=experiment, number=1, count=2),
        RetrainedTask(problem=problem),
        RetrainedTask(problem=problem, again=True),
        UnlearnedTask(problem=problem, method=FineTune(epochs=1, batch_size=8)),
    )
    with tempfile.TemporaryDirectory() as folder:
        keys = TaskKeys(Environment(data={"canary": collection.digest}, torch=""))
        state = WorkerState(ResultCache(Path(folder)), keys, _collections={"canary": collection})
        for task in tasks:
            execute.execute_task(task, state)
        answers = [state.answers(task) for task in tasks]
    return [
        number for one in answers for part, said in one.items() for number in lengths(part, {"": said.logits})
    ]
