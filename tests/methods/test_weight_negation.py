"""What NoT promises beyond the common contract."""

import copy

import torch
from torch import nn

from obliq.data import Splits
from obliq.methods import FineTune, NoT
from obliq.methods.weight_negation import negate_weights_
from obliq.quantization import weight_codes, weighted_layers
from obliq.run import Run
from tests.methods.measured import same, unreadable


def test_codes_of_the_first_layer_change_their_sign_exactly(original: nn.Module) -> None:
    network = copy.deepcopy(original)
    negate_weights_(network, first_only=True)
    before, after = ([*map(weight_codes, weighted_layers(one).values())] for one in (original, network))
    assert torch.equal(after[0], -before[0])
    assert all(torch.equal(one, other) for one, other in zip(before[1:], after[1:], strict=True))
    negate_weights_(network, first_only=True)
    negate_weights_(network, first_only=False)
    after = [*map(weight_codes, weighted_layers(network).values())]
    assert all(torch.equal(one, -other) for one, other in zip(before, after, strict=True))


def test_it_is_fine_tuning_of_the_negated_network(original: nn.Module, splits: Splits) -> None:
    for layers in ("first", "all"):
        negated = copy.deepcopy(original)
        negate_weights_(negated, first_only=layers == "first")
        settings = {"epochs": 2, "learning_rate": 0.02, "batch_size": 32}
        result = NoT(layers=layers, **settings).unlearn(original, splits, Run(seed=1))
        assert same(result, FineTune(**settings).unlearn(negated, splits, Run(seed=1)))


def test_a_mask_holds_entries_at_their_values(original: nn.Module) -> None:
    network = copy.deepcopy(original)
    mask = {name: torch.ones_like(one, dtype=torch.bool) for name, one in network.named_parameters()}
    first = next(iter(weighted_layers(network)))
    mask[f"{first}.weight"][0] = False
    negate_weights_(network, first_only=True, mask=mask)
    old, new = (one.get_parameter(f"{first}.weight") for one in (original, network))
    assert torch.equal(new[0], old[0])
    assert torch.equal(new[1:], -old[1:])


def test_the_forget_set_is_not_needed(original: nn.Module, splits: Splits) -> None:
    NoT(epochs=1).unlearn(original, unreadable(splits, "forget"), Run(seed=1))
