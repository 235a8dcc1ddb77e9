"""A linear classifier on a network's penultimate features: what its last layer could still tell apart."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, fx, nn

from obliq.data import Examples
from obliq.errors import ModelError
from obliq.quantization import weighted_layers
from obliq.training.prediction import in_evaluation_mode

RIDGE = 0.01
"""Penalty per sample, on standardised features."""
BATCH = 512


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """Ridge regression from features to one-hot labels, which has a closed form.

    Attributes:
        weights: the last row belongs to the constant.
        mean: of the features that the probe was fitted to.
        deviation: the same; above 0.
    """

    weights: Float[Tensor, "inputs classes"]
    mean: Float[Tensor, " features"]
    deviation: Float[Tensor, " features"]

    @classmethod
    def fit(
        cls, features: Float[Tensor, "samples features"], labels: Int[Tensor, " samples"], classes: int
    ) -> "LinearProbe":
        """Solve the regression, in the precision of the features."""
        mean, deviation = features.mean(0), features.std(0) + 1e-6
        inputs = _with_constant((features - mean) / deviation)
        penalty = RIDGE * len(inputs) * torch.eye(inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
        targets = nn.functional.one_hot(labels, classes).to(inputs.dtype)
        return cls(torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ targets), mean, deviation)

    def scores(self, features: Float[Tensor, "samples features"]) -> Float[Tensor, "samples classes"]:
        """What the probe answers: near 1 for the class that it recognises, near 0 for others."""
        return _with_constant((features - self.mean) / self.deviation) @ self.weights


def _with_constant(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


def last_linear(model: nn.Module) -> str:
    """The name of the linear layer that is computed last (defined last, in a network that is no graph).

    Raises:
        ModelError: when there is none.
    """
    if isinstance(model, fx.GraphModule):
        names = [str(node.target) for node in model.graph.nodes if node.op == "call_module"]
    else:
        names = [name for name, _ in model.named_modules()]
    linear = [name for name in names if isinstance(model.get_submodule(name), nn.Linear)]
    if not linear:
        raise ModelError(f"{type(model).__name__} has no linear layer; expected one that gives the classes")
    return linear[-1]


def last_layer(model: nn.Module) -> nn.Module | None:
    """The layer that gives the logits: the last one with weights of its own; None where there is none."""
    layers: list[nn.Module] = list(weighted_layers(model).values())
    layers = layers or [module for module in model.modules() if isinstance(module, nn.Linear)]
    return layers[-1] if layers else None


def penultimate_features(
    model: nn.Module, layer: nn.Module, examples: Examples, device: torch.device
) -> Float[Tensor, "samples features"]:
    """What the last layer receives, in float64 on the processor; evaluated in evaluation mode, which is restored.

    Raises:
        ModelError: when the layer does not run once for each sample.
    """
    found: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].detach()))
    home = next(model.parameters()).device
    try:
        with in_evaluation_mode(model.to(device)), torch.no_grad():
            for start in range(0, len(examples), BATCH):
                inputs = examples.collection.fetch(examples.indices[start : start + BATCH])
                model(inputs.to(device))
    finally:
        hook.remove()
        model.to(home)
    features = torch.cat([one.flatten(1) for one in found]).double().cpu()
    if len(features) != len(examples):
        raise ModelError(
            f"the last layer received {len(features):,} inputs for {len(examples):,} samples; expected one each"
        )
    return features
