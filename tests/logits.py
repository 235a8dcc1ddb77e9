"""Logits to try objectives on."""

import torch


def some_logits(seed: int, batch: int = 6, classes: int = 5) -> torch.Tensor:
    """Drawn ones, with predictions from sure to doubtful."""
    return 3 * torch.randn(batch, classes, generator=torch.Generator().manual_seed(seed))
