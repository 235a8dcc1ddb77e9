"""What it takes to build a network of the same form, without its values."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from obliq.errors import ModelError
from obliq.models import build
from obliq.models.architectures import is_import_path, require_module
from obliq.quantization import Precision, quantize

Builder = Callable[[tuple[int, ...], int], nn.Module]
"""A function from (input_shape, classes) to a float network."""


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """The form of a network.

    Attributes:
        architecture: a built-in name, or `module:function` for a network of your own.
        input_shape: the shape of one input, channels first.
        classes: the number of logits.
        precision: bit widths of weights and activations, or FP32.
        preset: `deploy` or `paper`, see `quantize`.
        edge_bits: bit width of the first and last layer.
        weight_grid: `per_channel` or `per_tensor`.
    """

    architecture: str
    input_shape: tuple[int, ...]
    classes: int
    precision: Precision = field(default_factory=lambda: Precision(4, 4))
    preset: str = "deploy"
    edge_bits: int = 8
    weight_grid: str = "per_channel"

    def __post_init__(self) -> None:
        if not 1 <= len(self.input_shape) <= 8 or not all(1 <= size <= 2**24 for size in self.input_shape):
            raise ModelError(f"input shape {self.input_shape}; expected 1 to 8 sizes from 1 to {2**24}")
        if not 2 <= self.classes <= 2**24:
            raise ModelError(f"{self.classes} classes; expected 2 to {2**24}")

    @property
    def is_own_code(self) -> bool:
        """Whether building imports a module of the user's."""
        return is_import_path(self.architecture)

    def build(self, function: Builder | None = None) -> nn.Module:
        """A new network of this form, quantized unless the precision is FP32.

        Args:
            function: makes the float network; when left out, `architecture` names it. A module of
                the user's is imported and run: only do so for a name that you trust.

        Returns:
            A graph whose weights are drawn; `initialise` draws them from a seed. The global
            random state is left as it was.

        Raises:
            ModelError: when there is no such architecture or it cannot be quantized like this.
        """
        with torch.random.fork_rng(devices=[]):
            if function is None:
                model = build(self.architecture, self.input_shape, self.classes)
            else:
                made = function(self.input_shape, self.classes)
                model = require_module(made, self.architecture)
        return quantize(
            model,
            self.precision,
            edge_bits=self.edge_bits,
            weight_grid=self.weight_grid,
            preset=self.preset,
        )

    def outline(self) -> nn.Module:
        """A built-in network of this form without memory for its tensors, for their shapes alone."""
        with torch.device("meta"):
            return self.build()
