"""References of a record that show nothing: the networks that they are compared with, and one network twice."""

import copy

import pytest
import torch

from obliq.checkpoints import Checkpoint
from obliq.checkpoints.run_folder import SavedRun
from obliq.errors import ObliqError
from obliq.models import initialise
from obliq.quantization import calibrate_steps, weights_digest
from obliq.record.batch_events import Retrained
from obliq.record.method_settings import method_of, parse_settings
from obliq.record.references import require_no_twin
from tests.patch.networks import SHAPE, saved_pair


def calibrated(network: Checkpoint, seed: int | None = None) -> SavedRun:
    """The same weights, or those of a seed, with the steps of other samples."""
    model = copy.deepcopy(network.model)
    if seed is not None:
        initialise(model, seed)
    calibrate_steps(model, torch.randn(16, *SHAPE, generator=torch.Generator().manual_seed(5)))
    return SavedRun(Checkpoint(model.eval(), network.blueprint, network.provenance), ())


def test_a_reference_is_a_network_of_its_own() -> None:
    original, unlearned = saved_pair()
    for seen, name in ((original, "original"), (unlearned, "unlearned network")):
        found = calibrated(seen)
        assert weights_digest(found.checkpoint.model) != weights_digest(seen.model), (
            "digests alone do not show it"
        )
        with pytest.raises(ObliqError, match=f"reference 1 holds the weights of the {name}; expected"):
            require_no_twin(found, 1, {}, (original, unlearned))
    other = calibrated(original, seed=1)
    require_no_twin(other, 1, {}, (original, unlearned))
    twin = Retrained(batch=1, number=1, network=weights_digest(other.checkpoint.model))
    with pytest.raises(ObliqError, match="reference 2 is the same network as reference 1"):
        require_no_twin(other, 2, {1: twin}, (original, unlearned))


def test_rules_refuse_a_recipe_that_no_log_can_keep() -> None:
    with pytest.raises(ObliqError, match="setting recipe is an object"):
        parse_settings(['recipe={"epochs": 1}'])


def test_an_unknown_method_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(
        ObliqError, match="there is no method 'amunn'; did you mean 'amun'\\? expected one of proxy-"
    ):
        method_of("amunn", {})
