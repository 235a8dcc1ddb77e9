"""In which way an original can be trained again: by its recipe alone, from given weights, or by its user."""

from collections.abc import Sequence

from obliq.checkpoints import Provenance
from obliq.errors import ModelError

PLACEHOLDERS = {
    "MODULE:FUNCTION": "your own training",
    "WEIGHTS": "the weights that training began with",
}
"""What the words in capitals of `way_to_retrain` stand for."""


def way_to_retrain(provenance: Provenance) -> tuple[str, ...]:
    """The options that `obliq retrain` needs, with capitals for what the user fills in; none for a recipe alone.

    Args:
        provenance: of the original.
    """
    if provenance.is_repeatable:
        return ()
    return ("--with", "MODULE:FUNCTION") if provenance.recipe is None else ("--from-weights", "WEIGHTS")


def require_one_way(ways: Sequence[str], provenance: Provenance) -> None:
    """Raise unless the named ways to retrain are one that fits an original; none is needed for one with a recipe.

    Args:
        ways: options of `obliq retrain`, of `--with`, `--weights`, `--from-weights` and `--epochs`.
        provenance: of the original.

    Raises:
        ModelError: with the ways that fit.
    """
    if len(ways) > 1:
        raise ModelError(f"{' and '.join(ways)} together; expected one way to retrain")
    if provenance.recipe is None:
        if not ways or list(ways) == ["--from-weights"]:
            given = ways[0] if ways else "no way to retrain it"
            raise ModelError(
                f"the original was trained elsewhere, and {given} was given; expected --with module:function (your own "
                "training), --weights FILE (a network that you retrained), or --epochs and other settings of a recipe"
            )
    elif provenance.loaded is not None and list(ways) != ["--from-weights"]:
        raise ModelError(
            f"the training of the original began with weights from {provenance.loaded.source}; expected --from-weights "
            "with the same weights, which must not have seen the samples to forget"
        )
    elif provenance.loaded is None and ways and list(ways) != ["--with"]:
        raise ModelError(
            f"{ways[0]} for an original with a recipe of its own; expected no such option, since the reference follows "
            "that recipe"
        )
