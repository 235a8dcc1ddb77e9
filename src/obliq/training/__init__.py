"""Training loops, and what they share: batches of loss, masks, Fisher information, gradients per sample."""
