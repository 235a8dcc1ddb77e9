"""FiCABU-like dampening: from the last layer backwards, shrink what matters to the forget set until it is enough.

Paper: "FiCABU" (DATE 2026, arXiv 2511.05605), which moves selective synaptic dampening (SSD; Foster et al., AAAI
2024) to edge devices. Reference code: none published. Reconstructed from the abstract: SSD's edit is made layer by
layer, the last one first, dampening is scaled by depth, and the edit stops when accuracy on the forget set is no higher
than a target. With I the mean over batches of the squared gradient of the batch's mean loss, and the depth t of a
layer from 0 (the last) to 1 (the first),

    where I_forget > alpha_t I_all:  theta <- theta * min(lambda_t I_all / I_forget, 1)   (1)
    alpha_t = alpha / s_t,  lambda_t = lambda / s_t
    s_t = sigmoid(steepness * (1/2 - t)) / sigmoid(steepness / 2)            (2)

so that early layers are dampened less often and less strongly. I_all is a statistic of the training set. With
`statistics`, a file that `write_statistics` (or `obliq statistics`) wrote while the retain set was there, that set is
not read.

Deviations: (2) is ours; the abstract names a scale by depth and not its form. `alpha`, `dampening` and `steepness` of
the paper are unknown to us. The last layer is the one that the network registers last. The target is accuracy on
holdout samples of the same classes, 0 for forgotten ones, since a retrained network does not guess on most requests
(the paper stops at random guess: `stop="chance"`). Activations are not cached between layers, so the edit costs more
time than the paper's, and gives the same result.

In quantized networks latent weights are dampened on their unchanged grid, so that codes move towards zero. Learned
steps and batch-norm statistics stay as they are; batch norm's scale and shift are a layer of their own, in the order of
the network, so that the edit may end between them and the layer that they follow.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from obliq.checkpoints.tensors import tensor_form, tensors_from_bytes, tensors_to_bytes
from obliq.data import DataLike, Examples, Splits, as_examples
from obliq.errors import ModelError, ObliqError
from obliq.io.atomic import write_file
from obliq.methods.method import Access, Search
from obliq.quantization import learned_steps
from obliq.run import Run
from obliq.training.bounded_exponential import bounded_exp
from obliq.training.fisher import dampening_factors, squared_gradients
from obliq.training.loop import move_to_device, require_at_least, seeded
from obliq.training.masks import Mask, Restraint
from obliq.training.passes import Passes, SetSizes
from obliq.training.prediction import accuracy


@final
@dataclass(frozen=True, kw_only=True)
class FiCABU:
    """Dampen layer by layer from the last one backwards until the forget set is no longer recognised.

    Attributes:
        alpha: Dampen a parameter of the last layer if it is more than this many times as important for the forget set.
        dampening: Constant lambda of the last layer. Smaller values dampen more.
        steepness: How fast dampening fades towards the first layer. 0 treats all layers alike.
        stop: Stop at the accuracy that `unseen` samples of the same classes have, or at `chance`.
        statistics: File of the training set's squared gradients, from `obliq statistics`. With it, the retain set is
            not read.
        batch_size: Samples per gradient. It changes the result, because squares of batch means are averaged.
    """

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "statistics"
    search: ClassVar[Search] = {"alpha": (1.5, 3.0, 10.0), "steepness": (0.0, 5.0)}

    alpha: float = 3.0
    dampening: float = 1.0
    steepness: float = 5.0
    stop: Literal["unseen", "chance"] = "unseen"
    statistics: str = ""
    batch_size: int = 128

    def __post_init__(self) -> None:
        require_at_least(1, batch_size=self.batch_size)
        require_at_least(0, alpha=self.alpha, dampening=self.dampening, steepness=self.steepness)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The gradients of the forget set, and of the training set where there is no file of them.

        A look at the forget set after each layer is not counted, as the number of layers is not known here.
        """
        overall = 0 if self.statistics else sizes.forget + sizes.retain
        return Passes.exactly(sizes.forget + overall)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after dampening; outside `mask` it stays as it was.

        Raises:
            ModelError: when `statistics` is not a file of this network's form.
        """
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).eval()
            restraint = None if mask is None else Restraint.of(network, mask)
            named = dampened_parameters(network)
            overall = self._of_training_set(network, named, splits, run)
            values = squared_gradients(network, list(named.values()), splits.forget, self.batch_size, run)
            forget = dict(zip(named, values, strict=True))
            target = self._target(network, splits, run)
            groups = by_layer(named)
            reached = accuracy(network, splits.forget, run.device)
            edited = 0
            for number, names in enumerate(groups):
                if reached <= target:
                    break
                scale = depth_scale(number / max(1, len(groups) - 1), self.steepness)
                with torch.no_grad():
                    for name in names:
                        named[name].mul_(
                            dampening_factors(
                                forget[name], overall[name], self.alpha / scale, self.dampening / scale
                            )
                        )
                if restraint is not None:
                    restraint.restore_()
                reached = accuracy(network, splits.forget, run.device)
                edited = number + 1
            run.listen("unlearn", 1, 1, {"edited_layers": edited, "forget_accuracy": reached})
            return network

    def _target(self, network: nn.Module, splits: Splits, run: Run) -> float:
        """The accuracy on the forget set, in percent, at which to stop."""
        if self.stop == "chance":
            return 100 / splits.forget.collection.classes
        labels = splits.forget.labels
        gone = torch.tensor(sorted(splits.forgotten_classes), dtype=labels.dtype)
        known = ~torch.isin(labels, gone)
        alike = torch.isin(splits.holdout.labels, labels[known])
        if not bool(alike.any()):
            return 0.0
        return known.float().mean().item() * accuracy(network, splits.holdout.where(alike), run.device)

    def _of_training_set(
        self, network: nn.Module, named: dict[str, nn.Parameter], splits: Splits, run: Run
    ) -> dict[str, Tensor]:
        """I_all of each parameter, from the file or from the data."""
        if not self.statistics:
            both = torch.cat([splits.forget.indices, splits.retain.indices])
            everything = Examples(splits.forget.collection, both)
            values = squared_gradients(network, list(named.values()), everything, self.batch_size, run)
            return dict(zip(named, values, strict=True))
        expected = {name: tensor_form(parameter) for name, parameter in named.items()}
        try:
            read = tensors_from_bytes(Path(self.statistics).read_bytes(), expected)
        except (OSError, ObliqError) as error:
            raise ModelError(
                f"{self.statistics}: {error}; expected what `obliq statistics` wrote for a network of this form"
            ) from error
        if any(bool((tensor < 0).any()) for tensor in read.values()):
            raise ModelError(
                f"{self.statistics}: has numbers below 0; expected what `obliq statistics` wrote, which are squares"
            )
        return {name: tensor.to(run.device) for name, tensor in read.items()}


def write_statistics(
    file: Path, model: nn.Module, train: DataLike, *, batch_size: int = 128, seed: int = 0
) -> None:
    """Write the squared gradients of a training set, so that `FiCABU` can do without the data later.

    The file has one number for each weight, which is a sum over all samples. It is not private in itself: keep it as
    confidential as the network's gradients would be.

    Args:
        file: to be written, in the format safetensors; an older one is replaced. Only its owner can read it.
        model: the trained network.
        train: what it was trained on.
        batch_size: samples per gradient; that of the method.
        seed: decides which samples share a batch.
    """
    content = encode_statistics(model, as_examples(train), batch_size, Run(seed=seed))
    write_file(file, content, overwrite=True, private=True)


def encode_statistics(model: nn.Module, train: Examples, batch_size: int, run: Run) -> bytes:
    """The bytes of such a file, computed as a run states; see `write_statistics`."""
    with seeded(run):
        network = move_to_device(copy.deepcopy(model), run).eval()
        named = dampened_parameters(network)
        values = squared_gradients(network, list(named.values()), train, batch_size, run)
    return tensors_to_bytes(
        {name: value.cpu().contiguous() for name, value in zip(named, values, strict=True)}
    )


def dampened_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that take part, by name: all but learned steps and frozen ones."""
    fixed = {id(step) for step in learned_steps(network)}
    return {
        name: parameter
        for name, parameter in network.named_parameters()
        if id(parameter) not in fixed and parameter.requires_grad
    }


def by_layer(named: dict[str, nn.Parameter]) -> list[list[str]]:
    """The names of the parameters of each module, the last module first."""
    groups: dict[str, list[str]] = {}
    for name in named:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    return list(groups.values())[::-1]


def depth_scale(depth: float, steepness: float) -> float:
    """s_t of equation (2): 1 at the last layer (depth 0), and smaller towards the first (depth 1)."""

    def sigmoid(value: float) -> float:
        return 1 / (1 + bounded_exp(-value))

    return sigmoid(steepness * (0.5 - depth)) / sigmoid(steepness / 2)
