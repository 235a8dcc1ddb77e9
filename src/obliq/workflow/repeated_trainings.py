"""Retrained networks that are one training twice: they show no spread, so every range read from them is too narrow."""

from collections.abc import Mapping
from contextlib import suppress
from itertools import combinations

import torch
from torch import Tensor, nn

from obliq.errors import AuditError, ModelError
from obliq.exporting import ExportedFile, share_of_changed_codes

MOST_ALIKE = 0.9
"""Of the weights that two trainings moved away from the original, the share that may be equal in both. Trainings with
other seeds share hardly any weight, and at most half of the codes that one of them moved. Weights that no training
moves, such as those of a frozen backbone, do not count."""


def require_different_networks(original: nn.Module, retrained: Mapping[str, nn.Module]) -> None:
    """Refuse retrained networks that share their trained weights.

    Args:
        original: the network before all requests.
        retrained: by name.

    Raises:
        AuditError: naming two of them.
    """
    before, weights = _weights(original), {name: _weights(network) for name, network in retrained.items()}
    for (first, one), (second, other) in combinations(weights.items(), 2):
        if not before.shape == one.shape == other.shape:
            continue
        moved = (one != before) | (other != before)
        if moved.any() and (share := float((one == other)[moved].float().mean())) > MOST_ALIKE:
            raise _one_training(first, second, share)


def require_different_files(retrained: Mapping[str, tuple[ExportedFile, float | None]]) -> None:
    """Refuse exported files that share the codes which training moved.

    Files of another form, and those of floats, are not compared.

    Args:
        retrained: by name; with the share of codes, 0 to 1, that differ from the original's, where that is known.

    Raises:
        AuditError: naming two of them.
    """
    for (first, (one, moved)), (second, (other, too)) in combinations(retrained.items(), 2):
        apart = None
        with suppress(ModelError):
            apart = share_of_changed_codes(one.contents, other.contents)
        if apart is None or not moved or not too:
            continue
        if (share := 1 - apart / max(moved, too)) > MOST_ALIKE:
            raise _one_training(first, second, share)


def _weights(network: nn.Module) -> Tensor:
    return torch.cat([one.detach().cpu().flatten() for one in network.parameters()])


def _one_training(first: str, second: str, share: float) -> AuditError:
    return AuditError(
        f"{first} and {second} share {100 * share:.0f} % of their trained weights, so they are one training twice; "
        "expected networks that were trained with other seeds, as the verdict reads how much retraining varies. "
        "A training function that sets a seed itself does this (torch.manual_seed): remove that line, since `obliq "
        "retrain --with` sets one from --seed, and retrain"
    )
