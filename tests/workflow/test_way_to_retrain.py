"""What is proposed to retrain an original is what `obliq retrain` accepts for it."""

import pytest

from obliq.checkpoints import Provenance
from obliq.checkpoints.metadata import LoadedWeights
from obliq.data import PartitionRule
from obliq.errors import ModelError
from obliq.io.strict_json import SettingValue
from obliq.workflow.way_to_retrain import require_one_way, way_to_retrain

LOADED = LoadedWeights(source="start.pt", digest="a" * 64)
EPOCHS: dict[str, SettingValue] = {"epochs": 2}


@pytest.mark.parametrize(
    ("recipe", "loaded", "option"),
    [(EPOCHS, None, ()), (EPOCHS, LOADED, ("--from-weights",)), (None, LOADED, ("--with",))],
    ids=["by its recipe", "from given weights", "trained elsewhere"],
)
def test_the_proposed_way_is_accepted(
    recipe: dict[str, SettingValue] | None, loaded: LoadedWeights | None, option: tuple[str, ...]
) -> None:
    rule = PartitionRule()
    provenance = Provenance(
        role="original", data="toy", rule=rule, partition_digest="b" * 64, recipe=recipe, loaded=loaded
    )
    way = way_to_retrain(provenance)
    assert way[:1] == option
    require_one_way(way[:1], provenance)
    if "--from-weights" in way:
        with pytest.raises(ModelError, match="expected --from-weights"):
            require_one_way(["--with"], provenance)
