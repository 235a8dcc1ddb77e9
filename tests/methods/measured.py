"""What several tests of methods measure."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.gradients import gradient_of
from obliq.quantization import learned_steps
from obliq.training.prediction import predict

CPU = torch.device("cpu")


def loss_on(model: nn.Module, examples: Examples) -> float:
    return F.cross_entropy(predict(model, examples, CPU), examples.labels).item()


def gradient_on(model: nn.Module, examples: Examples) -> list[Tensor]:
    """Of the mean cross-entropy, in the network's present mode."""
    loss = F.cross_entropy(model(examples.inputs()), examples.labels)
    return gradient_of(loss, list(model.parameters()))


def same(first: nn.Module, second: nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def statistics(model: nn.Module) -> list[Tensor]:
    return [value for name, value in model.named_buffers() if "running" in name]


def statistics_moved(original: nn.Module, result: nn.Module) -> bool:
    return _moved(statistics(original), statistics(result))


def steps_moved(original: nn.Module, result: nn.Module) -> bool:
    return _moved(learned_steps(original), learned_steps(result))


def _moved(before: Sequence[Tensor], after: Sequence[Tensor]) -> bool:
    assert len(before) > 0
    return any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def unreadable(splits: Splits, role: str) -> Splits:
    """The same splits, with a part of which nothing but the size may be looked at."""

    class Forbidden(Examples):
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"a method read the {role} set")

        def __len__(self) -> int:
            return len(getattr(splits, role))

    guarded = object.__new__(Splits)
    for name in ("partition", "forget", "retain", "holdout", "test", "salt"):
        object.__setattr__(
            guarded, name, object.__new__(Forbidden) if name == role else getattr(splits, name)
        )
    # A fact about the request, which a caller without a retain set states
    object.__setattr__(guarded, "whole_classes", None)
    object.__setattr__(guarded, "forgotten_classes", splits.forgotten_classes)
    return guarded
