"""Influence unlearning (IU): one Newton-like step that takes the forget set's pull on the weights back.

Paper: Izzo et al., "Approximate data deletion from machine learning models", AISTATS 2021, in the form
of Jia et al., "Model sparsity can simplify machine unlearning", NeurIPS 2023, with the inverse Fisher of
Singh and Alistarh, "WoodFisher", NeurIPS 2020. Reference code: OPTML-Group/Unlearn-Saliency, `Wfisher`.
With n_f forgotten and n_r retained samples, n = n_f + n_r, and N per-sample gradients g_i on the retain set,

    v = (sum_forget g) / n - (n_f / (n n_r)) sum_retain g,   F = I + (1 / N) sum_i g_i g_i^T
    theta <- theta + strength * F^-1 v

`inverse="exact"` solves this through the N x N matrix of the gradients' inner products (Woodbury's
identity). `inverse="code"` runs the reference code's recursion, in which the vector that should be F_i^-1 g_i
is only ever rescaled and so keeps the direction of the first sample's gradient: its result is v changed
along that one direction.
Deviations: the N samples are drawn at random (the first ones there); `exact` keeps their gradients, and
takes fewer where `memory` does not hold N.

Per-sample gradients come from one pass over many samples, see `obliq.training.per_sample`.
In quantized networks: gradients pass the quantizers straight through; latent weights, biases, batch norm's
scale and shift and the learned steps all move, and steps are kept positive. Everything is in evaluation mode;
batch-norm statistics stay as they are.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.data.batches import batches
from obliq.gradients import gradient_of
from obliq.methods.method import Search
from obliq.quantization import keep_steps_positive_
from obliq.run import Run
from obliq.training.loop import move_to_device, require_at_least, require_finite, seeded
from obliq.training.masks import Mask, Restraint
from obliq.training.per_sample import per_sample_gradients

BYTES = 4
GIB = 2**30


@final
@dataclass(frozen=True, kw_only=True)
class Influence:
    """Move the weights by the estimated influence of the forget set.

    Attributes:
        strength: alpha, the length of the step; the field searches from 1 to 20.
        samples: N, the retain samples that the Fisher matrix is estimated on.
        inverse: `exact`, or by the recursion in the public `code`.
        batch_size: samples a batch in the two sums of gradients; only speed depends on it.
        memory: GiB for the N gradients that `exact` keeps.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"strength": (1.0, 2.0, 4.0, 6.0, 10.0, 20.0)}

    strength: float = 1.0
    samples: int = 1000
    inverse: Literal["exact", "code"] = "exact"
    batch_size: int = 128
    memory: float = 1.0

    def __post_init__(self) -> None:
        require_at_least(1, samples=self.samples, batch_size=self.batch_size)
        require_at_least(0, strength=self.strength, memory=self.memory)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after one step along F^-1 v.

        Raises:
            ModelError: when the step is not finite.
        """
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).eval()
            restraint = None if mask is None else Restraint.of(network, mask)
            parameters = list(network.parameters())
            n_f, n_r = len(splits.forget), len(splits.retain)
            forget = self._summed(network, parameters, splits.forget, run)
            retain = self._summed(network, parameters, splits.retain, run)
            v = forget / (n_f + n_r) - retain * (n_f / ((n_f + n_r) * n_r))
            samples = min(self.samples, n_r)
            if self.inverse == "exact":
                samples = min(samples, max(1, int(self.memory * GIB / BYTES / len(v))))
            drawn = torch.randperm(n_r, generator=run.generator(purpose=1))[:samples]
            chosen = Examples(splits.retain.collection, splits.retain.indices[drawn])
            blocks = per_sample_gradients(network, parameters, chosen, run)
            if self.inverse == "exact":
                step = inverse_fisher_product(_stacked(blocks, samples, v), v)
            else:
                step = inverse_fisher_product_as_coded(
                    (gradient for block in blocks for gradient in block), v
                )
            length = require_finite(step.norm().item(), 0, self.strength)
            parts = torch.split(step, [parameter.numel() for parameter in parameters])
            with torch.no_grad():
                for parameter, part in zip(parameters, parts, strict=True):
                    parameter.add_(part.view(parameter.shape), alpha=self.strength)
            if restraint is not None:
                restraint.restore_()
            keep_steps_positive_(network)
            run.listen("unlearn", 1, 1, {"samples": samples, "step_length": self.strength * length})
            return network

    def _summed(
        self, network: nn.Module, parameters: list[nn.Parameter], examples: Examples, run: Run
    ) -> Float[Tensor, " parameters"]:
        """The sum of all samples' gradients."""
        total = torch.zeros(sum(parameter.numel() for parameter in parameters), device=run.device)
        for inputs, labels in batches(examples, self.batch_size, None, run.device):
            total += _flat(F.cross_entropy(network(inputs), labels, reduction="sum"), parameters)
        return total


def inverse_fisher_product(
    gradients: Float[Tensor, "samples parameters"], v: Float[Tensor, " parameters"]
) -> Float[Tensor, " parameters"]:
    """F^-1 v with F = I + (1 / N) G^T G, by F^-1 v = v - G^T (N I + G G^T)^-1 G v."""
    samples = len(gradients)
    gram = (gradients @ gradients.T).double()
    gram.diagonal().add_(samples)
    shares: Tensor = torch.linalg.solve(gram, (gradients @ v).double())
    return v - gradients.T @ shares.to(v.dtype)


def inverse_fisher_product_as_coded(
    gradients: Iterator[Float[Tensor, " parameters"]], v: Float[Tensor, " parameters"], scale: int = 1000
) -> Float[Tensor, " parameters"]:
    """What the reference code puts in the place of F^-1 v; `scale` is its constant N."""
    product = v.clone()
    direction = next(gradients)
    for gradient in gradients:
        overlap = torch.dot(direction, gradient)
        product -= torch.dot(product, gradient) / (scale + overlap) * direction
        direction = direction - overlap / (scale + overlap) * direction
    return product


def _stacked(blocks: Iterator[Tensor], samples: int, like: Tensor) -> Float[Tensor, "samples parameters"]:
    """All blocks one under the other, without a second copy of them all."""
    rows, filled = like.new_empty((samples, len(like))), 0
    for block in blocks:
        rows[filled : filled + len(block)] = block
        filled += len(block)
    return rows


def _flat(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    return torch.cat([gradient.reshape(-1) for gradient in gradient_of(loss, parameters)])
