"""Training, and what methods share: descents, masks, Fisher information, gradients per sample, predictions."""
