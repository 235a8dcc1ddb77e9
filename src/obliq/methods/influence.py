"""Influence unlearning (IU): one Newton-like step against the forget set's estimated influence.

Paper: Izzo et al., "Approximate data deletion from machine learning models", AISTATS 2021, in the form
of Jia et al., "Model sparsity can simplify machine unlearning", NeurIPS 2023, with the inverse Fisher of
Singh and Alistarh, "WoodFisher", NeurIPS 2020. Reference code: OPTML-Group/Unlearn-Saliency, `Wfisher`.
With n_f forgotten and n_r retained samples, n = n_f + n_r, and N per-sample gradients g_i on the retain set,

    v = (sum_forget g) / n - (n_f / (n n_r)) sum_retain g                    (1)
    F = I + (1 / N) sum_i g_i g_i^T                                          (2)
    theta <- theta + strength * F^-1 v                                       (3)

`inverse="exact"` solves this through the N x N matrix of the gradients' inner products (Woodbury's identity).
`inverse="code"` runs the recursion of the reference code. In it, the vector that should be F_i^-1 g_i is only ever
rescaled, and so keeps the direction of the first sample's gradient. Its result is v, changed along that one
direction.

Deviations: the N samples are drawn at random (there the first ones). `exact` keeps their gradients, and takes fewer
samples where `memory` does not hold N. Per-sample gradients come from one pass over many samples, see
`obliq.training.per_sample`.

In quantized networks gradients pass the quantizers straight through. Latent weights, biases, batch norm's scale and
shift and the learned steps all move, and steps are kept positive. Everything is in evaluation mode; batch-norm
statistics stay as they are.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.gradients import gradient_of
from obliq.methods.method import Search
from obliq.quantization import keep_steps_positive_
from obliq.run import Run
from obliq.training.loop import move_to_device, require_at_least, seeded
from obliq.training.masks import Mask, Restraint
from obliq.training.passes import Passes, SetSizes
from obliq.training.per_sample import per_sample_gradients

BYTES = 4  # a float32
GIB = 2**30


@final
@dataclass(frozen=True, kw_only=True)
class Influence:
    """Move the weights by the estimated influence of the forget set.

    Attributes:
        strength: Length alpha of the step. Papers search from 1 to 20.
        samples: Number N of retain samples from which the Fisher matrix is estimated.
        inverse: Compute the inverse as `exact` solution, or by the recursion in the public `code`.
        batch_size: Samples per batch in the two sums of gradients. It changes only the speed.
        memory: Memory in GiB for the N gradients that `exact` keeps.
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

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The sums over both sets, and one gradient for each sample of the Fisher matrix; `memory` may allow fewer."""
        sums, samples = sizes.forget + sizes.retain, min(self.samples, sizes.retain)
        return Passes(sums + (1 if self.inverse == "exact" else samples), sums + samples)

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
            # Equation (1) is the gradient of the mean loss over all data minus that of the mean over the retain set.
            v = forget / (n_f + n_r) - retain * (n_f / ((n_f + n_r) * n_r))
            samples = min(self.samples, n_r)
            if self.inverse == "exact":
                samples = min(samples, max(1, int(self.memory * GIB / BYTES / len(v))))
            # The order of the samples matters for `code`, so both inverses use the order of this draw.
            drawn = torch.randperm(n_r, generator=run.generator(purpose=1))[:samples]
            chosen = Examples(splits.retain.collection, splits.retain.indices[drawn])
            blocks = per_sample_gradients(network, parameters, chosen, run)
            if self.inverse == "exact":
                step = inverse_fisher_product(_stacked(blocks, samples, v), v)
            else:
                step = inverse_fisher_product_as_coded(
                    (gradient for block in blocks for gradient in block), v
                )
            length = step.norm().item()
            if not math.isfinite(length):
                raise ModelError(
                    f"the step of influence unlearning became {length} from {samples:,} retained samples; expected a "
                    "finite one. Try other samples (seed), or a network whose loss gives finite gradients"
                )
            parts = torch.split(step, [parameter.numel() for parameter in parameters])
            with torch.no_grad():  # equation (3)
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
        """The sum of the gradients of all samples."""
        total = torch.zeros(sum(parameter.numel() for parameter in parameters), device=run.device)
        for inputs, labels in batches(examples, self.batch_size, None, run.device):
            total += _flat(F.cross_entropy(network(inputs), labels, reduction="sum"), parameters)
        return total


def inverse_fisher_product(
    gradients: Float[Tensor, "samples parameters"], v: Float[Tensor, " parameters"]
) -> Float[Tensor, " parameters"]:
    """F^-1 v for the F of equation (2), by Woodbury's identity: F^-1 v = v - G^T (N I + G G^T)^-1 G v.

    The matrix to invert is N x N instead of parameters x parameters.
    """
    samples = len(gradients)
    # Solved in float64: N is small against the largest eigenvalues of G G^T, where gradients are similar.
    gram = (gradients @ gradients.T).double()
    gram.diagonal().add_(samples)
    shares: Tensor = torch.linalg.solve(gram, (gradients @ v).double())
    return v - gradients.T @ shares.to(v.dtype)


def inverse_fisher_product_as_coded(
    gradients: Iterator[Float[Tensor, " parameters"]], v: Float[Tensor, " parameters"], scale: int = 1000
) -> Float[Tensor, " parameters"]:
    """What the reference code computes in place of F^-1 v; `scale` is its constant N."""
    product = v.clone()
    direction = next(gradients)
    for gradient in gradients:
        # Sherman and Morrison's update has F_i^-1 g_(i+1) in place of `direction`, and again for the next sample.
        overlap = torch.dot(direction, gradient)
        product -= torch.dot(product, gradient) / (scale + overlap) * direction
        direction = direction - overlap / (scale + overlap) * direction
    return product


def _stacked(blocks: Iterator[Tensor], samples: int, like: Tensor) -> Float[Tensor, "samples parameters"]:
    """All blocks in one matrix, filled row by row so that they are never in memory twice."""
    rows, filled = like.new_empty((samples, len(like))), 0
    for block in blocks:
        rows[filled : filled + len(block)] = block
        filled += len(block)
    return rows


def _flat(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    return torch.cat([gradient.reshape(-1) for gradient in gradient_of(loss, parameters)])
