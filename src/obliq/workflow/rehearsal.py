"""A rehearsal before training: does a step fit into memory, and can the network be exported at the end?"""

from torch import nn

from obliq.checkpoints import Blueprint
from obliq.data import Examples
from obliq.errors import ModelError
from obliq.exporting import graph_of
from obliq.run import Run
from obliq.training.memory import rehearse, require_memory


def rehearse_training(
    model: nn.Module, examples: Examples, batch_size: int, blueprint: Blueprint, run: Run
) -> tuple[str, ...]:
    """Run a copy of a network forward on two samples, and look at what became of it.

    Args:
        model: as training would begin with it; left as it is.
        examples: the training samples.
        batch_size: of the recipe.
        blueprint: what the network is.
        run: the device.

    Returns:
        Warnings: why the network cannot be exported, where it was quantized for that.

    Raises:
        ModelError: for a batch that does not fit into memory, with the one that does.
    """
    found = rehearse(model, examples)
    if found is None:
        return ()
    rehearsed, memory = found
    require_memory(memory, examples, batch_size, run.device)
    if blueprint.precision.is_float or blueprint.preset != "deploy":
        return ()
    reason = reason_against_export(rehearsed.eval(), blueprint)
    return () if reason is None else (f"after training, this network cannot be exported: {reason}",)


def reason_against_export(model: nn.Module, blueprint: Blueprint) -> str | None:
    """Which layer of a calibrated network has no integer form; None where all have."""
    try:
        graph_of(model, blueprint.input_shape)
    except ModelError as error:
        return str(error)
    return None
