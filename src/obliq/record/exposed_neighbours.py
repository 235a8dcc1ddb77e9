"""Retained samples that a request would leave without their only close companion.

Source: Carlini et al., "The Privacy Onion Effect" (NeurIPS 2022): once the samples that are attacked most easily are
removed, others near them are. Nobody can tell from the data alone whom that harms, so this is a warning. It counts
retained samples whose nearest sample of their class is to be forgotten, while the nearest one that remains is at least
`FACTOR` times as far (Euclidean distance of the inputs as the network reads them).
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from obliq.data import Splits
from obliq.data.collection import Collection

FACTOR = 2.0
CANDIDATES = 16
"""Retained samples next to each forgotten one that are looked at."""
MOST_WORK = 4e9
"""Multiplications, about a second; larger requests are not checked."""
_AT_ONCE = 256


def count_exposed_neighbours(splits: Splits) -> int | None:
    """How many retained samples a request would leave without a close companion; None for one too large to check."""
    collection = splits.partition.collection
    size = math.prod(collection.sample_shape)
    classes = [
        (
            splits.forget.indices[splits.forget.labels == label],
            splits.retain.indices[splits.retain.labels == label],
        )
        for label in torch.unique(splits.forget.labels)
    ]
    if sum((1 + CANDIDATES) * len(gone) * len(kept) * size for gone, kept in classes) > MOST_WORK:
        return None
    return sum(_exposed(collection, gone, kept) for gone, kept in classes if len(kept))


def _exposed(collection: Collection, gone: Int[Tensor, " gone"], kept: Int[Tensor, " kept"]) -> int:
    """The same within a class."""
    to_gone = _distances(collection, gone, kept)
    near = torch.unique(to_gone.topk(min(CANDIDATES, len(kept)), largest=False).indices)
    to_kept = _distances(collection, kept[near], kept)
    to_kept[torch.arange(len(near)), near] = torch.inf  # itself
    return int((to_kept.amin(dim=1) > FACTOR * to_gone.amin(dim=0)[near]).sum())


def _distances(
    collection: Collection, ones: Int[Tensor, " ones"], others: Int[Tensor, " others"]
) -> Float[Tensor, "ones others"]:
    flat = torch.cat(list(_inputs(collection, ones)))
    return torch.cat([torch.cdist(flat, some) for some in _inputs(collection, others)], dim=1)


def _inputs(
    collection: Collection, ids: Int[Tensor, " samples"]
) -> Iterator[Float[Tensor, "samples values"]]:
    for chunk in torch.split(ids, _AT_ONCE):
        yield collection.fetch(chunk).flatten(1).float()
