"""A rehearsal before training: does a step fit into memory, and can the network be exported at the end?"""

from torch import nn

from obliq.checkpoints import Blueprint
from obliq.data import Examples
from obliq.errors import ModelError
from obliq.exporting import graph_of
from obliq.methods import Method
from obliq.run import Run
from obliq.training.memory import rehearse, require_memory

BATCHES = ("batch_size", "retain_batch", "forget_batch")
"""What methods call the number of samples in a step; 0 where they choose it."""


def rehearse_training(
    model: nn.Module, examples: Examples, batch_size: int | None, blueprint: Blueprint, run: Run
) -> str | None:
    """Run a copy of a network forward on two samples, and look at what became of it.

    Args:
        model: as training would begin with it; left as it is.
        examples: the training samples.
        batch_size: of the recipe; None where nothing is trained.
        blueprint: what the network is.
        run: the device.

    Returns:
        Why the network cannot be exported, where it was quantized for that; None where it can.

    Raises:
        ModelError: for a batch that does not fit into memory, with the one that does.
    """
    found = rehearse(model, examples)
    if found is None:
        return None
    rehearsed, memory = found
    if batch_size is not None:
        require_memory(memory, examples, batch_size, run.device)
    if blueprint.precision.is_float or blueprint.preset != "deploy":
        return None
    return reason_against_export(rehearsed.eval(), blueprint)


def require_step_memory(model: nn.Module, examples: Examples, method: Method, run: Run) -> None:
    """Raise where a step of a method does not fit into memory.

    Raises:
        ModelError: with the batch that fits.
    """
    holder = getattr(method, "recipe", getattr(method, "method", method))
    sizes = {name: getattr(holder, name, 0) for name in BATCHES}
    largest = max(sizes, key=sizes.__getitem__)
    if sizes[largest] and (found := rehearse(model, examples)) is not None:
        option = f"--{largest.replace('_', '-')}"
        require_memory(found[1], examples, sizes[largest], run.device, option)


def reason_against_export(model: nn.Module, blueprint: Blueprint) -> str | None:
    """Which layer of a calibrated network has no integer form; None where all have."""
    try:
        graph_of(model, blueprint.input_shape)
    except ModelError as error:
        return str(error)
    return None
