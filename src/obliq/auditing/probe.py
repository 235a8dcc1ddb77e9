"""The linear probe: do a network's features still tell a forgotten class apart, whatever its last layer answers?"""

import torch
from torch import nn

from obliq.auditing.signals import Signals
from obliq.data import Examples, MissingExamples, Splits
from obliq.training.linear_probe import LinearProbe, last_layer, penultimate_features


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
    layer = last_layer(model)
    if not chosen.any() or layer is None:
        return None
    unseen = Examples(splits.test.collection, splits.test.indices[chosen])
    seen = [penultimate_features(model, layer, part, device) for part in (splits.forget, splits.retain)]
    labels = torch.cat([splits.forget.labels, splits.retain.labels])
    probe = LinearProbe.fit(torch.cat(seen), labels, splits.partition.collection.classes)
    scores = probe.scores(penultimate_features(model, layer, unseen, device))
    return Signals(scores.float(), unseen.labels)
