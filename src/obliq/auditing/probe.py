"""The linear probe: do a network's features still tell a forgotten class apart, whatever its last layer answers?"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from obliq.auditing.signals import Signals
from obliq.data import Examples, MissingExamples, Splits
from obliq.errors import AuditError
from obliq.quantization import weighted_layers

RIDGE = 0.01  # penalty per sample, on standardised features
BATCH = 512


def probe_signals(model: nn.Module, splits: Splits, device: torch.device) -> Signals | None:
    """What a linear classifier on the network's penultimate features answers to unseen samples of forgotten classes.

    The classifier is fitted to all training samples, forgotten ones included, with their true labels. A network of
    which only the last layer was edited still has the features of the class, and the probe recognises them. Features of
    retrained networks tell classes apart as well, so that only the difference to these counts.

    Source: "Unlearning evaluation by linear probing" as in arXiv 2604.08271. Deviation: ridge regression on one-hot
    labels, which has a closed form, instead of a linear layer trained by gradient descent.

    Args:
        model: the network; evaluated in evaluation mode, and left as it was.
        splits: the request's; some of its classes must be forgotten as a whole.
        device: where to compute.

    Returns:
        The probe's scores as logits; None where no class is forgotten, no test sample is of one, or the network has no
        linear layer to read the features of.
    """
    classes = torch.tensor(sorted(splits.forgotten_classes), dtype=torch.int64)
    if isinstance(splits.test, MissingExamples):
        return None
    chosen = torch.isin(splits.test.labels, classes)
    layer = _last_layer(model)
    if not chosen.any() or layer is None:
        return None
    unseen = Examples(splits.test.collection, splits.test.indices[chosen])
    seen = [_features(model, layer, part, device) for part in (splits.forget, splits.retain)]
    labels = torch.cat([splits.forget.labels, splits.retain.labels])
    weights = _ridge(torch.cat(seen), labels, splits.partition.collection.classes)
    scores = _with_constant(_features(model, layer, unseen, device), *weights[1:]) @ weights[0]
    return Signals(scores.float(), unseen.labels)


def _last_layer(model: nn.Module) -> nn.Module | None:
    """The layer that gives the logits: the last one with weights of its own."""
    layers: list[nn.Module] = list(weighted_layers(model).values())
    layers = layers or [module for module in model.modules() if isinstance(module, nn.Linear)]
    return layers[-1] if layers else None


def _features(
    model: nn.Module, layer: nn.Module, examples: Examples, device: torch.device
) -> Float[Tensor, "samples features"]:
    """What the last layer receives, in float64 on the processor."""
    found: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].detach()))
    home, mode = next(model.parameters()).device, model.training
    try:
        model.to(device).eval()
        with torch.no_grad():
            for start in range(0, len(examples), BATCH):
                inputs = examples.collection.fetch(examples.indices[start : start + BATCH])
                model(inputs.to(device))
    finally:
        hook.remove()
        model.to(home).train(mode)
    features = torch.cat([one.flatten(1) for one in found]).double().cpu()
    if len(features) != len(examples):
        raise AuditError(
            f"the last layer received {len(features)} inputs for {len(examples)} samples; expected one each"
        )
    return features


def _ridge(
    features: Float[Tensor, "samples features"], labels: Tensor, classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of the ridge regression, and the mean and deviation that features are standardised with."""
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    inputs = _with_constant(features, mean, deviation)
    penalty = RIDGE * len(inputs) * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    targets = nn.functional.one_hot(labels, classes).to(inputs.dtype)
    return torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ targets), mean, deviation


def _with_constant(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return torch.cat(
        [(features - mean) / deviation, torch.ones(len(features), 1, dtype=features.dtype)], dim=1
    )
