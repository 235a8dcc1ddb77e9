"""Boundary expand: move the forget set into an extra class, then remove that class.

Paper: Chen et al., "Boundary unlearning: rapid forgetting of deep networks via shifting the decision boundary", CVPR
2023, section 3.4. Reference code: TY-LEE-KR/Boundary-Unlearning-Code, `boundary_expanding`. The port in
OPTML-Group/Unlearn-Saliency leaves the extra unit in place, so that predictions of the extra class count as errors
there; here it is removed, as the authors do.

Deviations: cosine schedule (there constant). The new row is drawn from the run's seed, as the layer's default
initialisation draws (there Xavier's normal distribution over all rows, and a bias of 0).

In quantized networks the last linear layer gets one more row of the same bits. With a grid for each channel, the row
has a step of its own, derived from its weights; with a single step, it shares that. Removing the row restores the
original's shapes. The quantizer of the logits stays where it is and bounds the extra logit as it does the others.
All parameters are trained, learned steps included, and steps never decay. A frozen last layer keeps its rows, and
the extra row is trained. A learned step changes by at most a tenth in one update
(`obliq.quantization.keep_steps_near_`). Batch-norm statistics are frozen; `batch_norm="forget"` lets them follow the
forget batches as the reference code does.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.io.user_code import first_line
from obliq.methods.method import Access, Search
from obliq.quantization import QuantizedLinear
from obliq.run import Run
from obliq.training.descent import descend, require_descent, set_batch_norm_mode
from obliq.training.linear_probe import last_linear
from obliq.training.loop import (
    move_to_device,
    parameter_groups,
    require_at_least,
    seeded,
    steps_per_epoch,
)
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class BoundaryExpand:
    """Train forgotten samples to an extra class, then remove that class.

    Attributes:
        epochs: Passes over the forget set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, or follow the `forget` batches.
    """

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"
    search: ClassVar[Search] = {"learning_rate": (3e-6, 1e-5, 2e-5, 4e-5, 1e-4, 1e-3)}

    epochs: int = 10
    learning_rate: float = 1e-5
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_norm: Literal["frozen", "forget"] = "frozen"

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the forget set."""
        return Passes.exactly(self.epochs * sizes.forget)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after the forget set was moved to the extra class, without that class.

        Outside `mask` it stays as it was; the extra class may always move.

        Raises:
            ModelError: when a linear layer does not compute the logits, or every parameter is frozen.
        """
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            parameter_groups(network, self.weight_decay)  # refuses a frozen network, before a row that is not
            name = last_linear(network)
            narrow = network.get_submodule(name)
            assert isinstance(narrow, nn.Linear)
            movable = without_frozen(mask, network)
            network.set_submodule(name, add_output(narrow, run.generator(purpose=2)))
            _require_answers(network.eval(), splits, narrow.out_features + 1, run)
            order = run.generator(purpose=1)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, labels in batches(splits.forget, self.batch_size, order, run.device):
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(labels))
                    yield F.cross_entropy(network(inputs), torch.full_like(labels, narrow.out_features))

            descend(
                network.train(),
                losses,
                epochs=self.epochs,
                total=self.epochs * steps_per_epoch(len(splits.forget), self.batch_size),
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=None if movable is None else extend_mask(movable, network),
            )
            wide = network.get_submodule(name)
            assert isinstance(wide, nn.Linear)
            trained = remove_last_output(wide)
            for part, before in narrow.named_parameters():
                trained.get_parameter(part).requires_grad_(before.requires_grad)
            network.set_submodule(name, trained)
            return network.eval()


def add_output(layer: nn.Linear, generator: torch.Generator) -> nn.Linear:
    """A copy with one more output, drawn as `nn.Linear` draws: uniformly within 1 / sqrt(inputs).

    What has one more row is trained in the copy, even if it was frozen; see `without_frozen`.
    """
    bound = 1 / math.sqrt(layer.in_features)
    wide = copy.deepcopy(layer)
    wide.out_features += 1

    def draw(*shape: int) -> torch.Tensor:
        return ((2 * torch.rand(shape, generator=generator) - 1) * bound).to(layer.weight.device)

    wide.weight = nn.Parameter(torch.cat([layer.weight.detach(), draw(1, layer.in_features)]))
    if layer.bias is not None:
        wide.bias = nn.Parameter(torch.cat([layer.bias.detach(), draw(1)]))
    if isinstance(layer, QuantizedLinear) and isinstance(wide, QuantizedLinear) and layer.channel_axis == 0:
        wide.weight_step = nn.Parameter(layer.weight_step.new_empty(wide.out_features))
        wide.reset_step()
        with torch.no_grad():  # only the new row takes its step from its weights
            wide.weight_step[:-1] = layer.weight_step
    return wide


def without_frozen(mask: Mask | None, network: nn.Module) -> Mask | None:
    """The mask without the entries of frozen parameters; None where all entries may move."""
    named = dict(network.named_parameters())
    if mask is None and all(parameter.requires_grad for parameter in named.values()):
        return None
    if mask is None:
        mask = {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in named.items()}
    return {name: mask[name] & parameter.requires_grad for name, parameter in named.items()}


def extend_mask(mask: Mask, network: nn.Module) -> Mask:
    """The mask for a network of which some parameters have one more row, which may move."""
    wide = {}
    for name, parameter in network.named_parameters():
        free = mask[name].to(parameter.device)
        more = parameter.shape[0] - free.shape[0] if parameter.dim() else 0
        wide[name] = torch.cat([free, free.new_ones(more, *free.shape[1:])]) if more else free
    return wide


def remove_last_output(layer: nn.Linear) -> nn.Linear:
    """A copy without the last output. A single step for the whole layer stays as it was trained."""
    narrow = copy.deepcopy(layer)
    narrow.out_features -= 1
    narrow.weight = nn.Parameter(layer.weight.detach()[:-1].clone())
    if layer.bias is not None:
        narrow.bias = nn.Parameter(layer.bias.detach()[:-1].clone())
    if isinstance(layer, QuantizedLinear) and isinstance(narrow, QuantizedLinear) and layer.channel_axis == 0:
        narrow.weight_step = nn.Parameter(layer.weight_step.detach()[:-1].clone())
    return narrow


@torch.no_grad()
def _require_answers(network: nn.Module, splits: Splits, expected: int, run: Run) -> None:
    inputs, _ = next(batches(splits.forget.take(1), 1, None, run.device))
    try:
        shape = tuple(network(inputs).shape)
    except RuntimeError as error:
        raise ModelError(
            f"with {expected} outputs in the last linear layer the network does not run ({first_line(error)}); "
            "expected a network whose last linear layer computes the logits"
        ) from error
    if shape != (1, expected):
        raise ModelError(
            f"with {expected} outputs in the last linear layer the network returns shape {shape}; "
            f"expected (1, {expected}), a network whose last linear layer computes the logits"
        )
