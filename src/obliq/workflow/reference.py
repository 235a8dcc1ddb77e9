"""The retrained reference of a network that was trained elsewhere, or whose training began from loaded weights.

Every gap of an audit is measured from it, so it is quantized as the original was: calibrated on the retain set, and
fine-tuned there where the original was fine-tuned.
"""

import copy
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from obliq.checkpoints import Checkpoint, present_versions
from obliq.checkpoints.metadata import LoadedWeights
from obliq.checkpoints.run_folder import SavedRun
from obliq.checkpoints.tensors import tensor_forms
from obliq.data import Splits
from obliq.data.request_file import Request
from obliq.errors import ModelError, ObliqError
from obliq.io.strict_json import SettingValue, decode
from obliq.io.user_code import first_line, import_function
from obliq.methods import Retrain
from obliq.models.architectures import require_module
from obliq.quantization import float_state, integer_state, state_digest, weighted_layers, weights_digest
from obliq.run import Run, Trace, together
from obliq.training.loop import Recipe, fit, seeded
from obliq.workflow.adoption import accuracies_of, quantize_loaded
from obliq.workflow.earlier_requests import earlier_entries
from obliq.workflow.loaded_network import LoadedNetwork, load_network, loaded_from_module
from obliq.workflow.network_checks import require_ready
from obliq.workflow.pipeline import role_counts
from obliq.workflow.rehearsal import require_step_memory


def import_training(function: str) -> Callable[..., Any]:
    """The user's own training, by its name; importing it runs code.

    Raises:
        ModelError: when it cannot be imported.
    """
    try:
        return import_function(function)
    except Exception as error:  # the user's own code can raise anything
        raise ModelError(
            f"cannot import {function!r}: {first_line(error)}; expected module:function, a function of the retain set"
        ) from error


def retrained_by_function(
    original: Checkpoint, splits: Splits, request: Request, function: str, run: Run
) -> SavedRun:
    """Retrain by the user's own code.

    Args:
        original: the network that the reference belongs to.
        splits: the roles of the samples under the request.
        request: what the reference must not have seen.
        function: `module:function`, which is imported and called with the retain set: a map-style data set of
            (input, label), inputs as the network reads them. It returns a network of the original's architecture, in
            floating point or quantized by `obliq.quantize`.
        run: seeds torch's random numbers while the function runs.

    Raises:
        ModelError: when the function fails, or returns another kind of network.
    """
    train = import_training(function)
    started = time.perf_counter()
    try:
        with seeded(run):
            network = require_module(train(splits.retain), function)
    except ObliqError:
        raise
    except Exception as error:
        raise ModelError(f"{function!r} failed on the retain set: {first_line(error)}") from error
    network = network.cpu().eval()
    architecture = original.blueprint.architecture
    if weighted_layers(network):
        digest = state_digest(integer_state(network), float_state(network))
        loaded = LoadedNetwork(network, architecture, function, digest)
    else:
        loaded = loaded_from_module(network, architecture, function)
    return _retrained(original, splits, request, loaded, run, started, trained_by_call=True)


def retrained_from_file(
    original: Checkpoint, splits: Splits, request: Request, weights: str, run: Run
) -> SavedRun:
    """Take weights that the user retrained without the samples of a request.

    Args:
        original: the network that the reference belongs to; its architecture has been named by the user.
        splits: the roles of the samples under the request.
        request: what the reference must not have seen; nobody can check that.
        weights: see `load_network`.
        run: seed, device and listener.

    Raises:
        ModelError: for weights that do not fit the network, and for those of the original.
    """
    loaded = load_network(original.blueprint.architecture, weights, splits.retain)
    return _retrained(original, splits, request, loaded, run, time.perf_counter(), trained_by_call=False)


def retrained_from_start(
    original: Checkpoint, splits: Splits, request: Request, weights: str, run: Run
) -> SavedRun:
    """Retrain by the original's recipe from the loaded weights that its training began with.

    Args:
        original: the network that the reference belongs to.
        splits: the roles of the samples under the request.
        request: what the reference must not have seen.
        weights: see `load_network`.
        run: seed, device and listener.

    Raises:
        ModelError: when the original began with other weights.
    """
    start = load_network(original.blueprint.architecture, weights, splits.retain)
    known, recipe = original.provenance.loaded, original.provenance.recipe
    if known is None or recipe is None or known.digest != start.digest:
        began = f"{known.source}, {known.digest[:12]}..." if known else "drawn weights"
        raise ModelError(
            f"{weights} has digest {start.digest[:12]}...; expected the weights that the training of the original "
            f"began with ({began})"
        )
    started, trace = time.perf_counter(), Trace()
    network = original.blueprint.build(lambda shape, classes: start.network)
    wanted = decode(Recipe, recipe, "the recipe")
    require_step_memory(network, splits.retain, Retrain(recipe=wanted), run)
    network = fit(network, splits.retain, wanted, _listening(run, trace))
    return _saved(original, splits, request, network, known, recipe, run, started, trace)


def _retrained(
    original: Checkpoint,
    splits: Splits,
    request: Request,
    loaded: LoadedNetwork,
    run: Run,
    started: float,
    *,
    trained_by_call: bool,
) -> SavedRun:
    """Quantize a retrained network as the original was quantized."""
    trace, known = Trace(), original.provenance.loaded
    if known is not None and known.digest == loaded.digest:
        raise _same_weights(loaded.source, "original")
    measured = {
        role: part
        for role in ("forget", "retain", "holdout", "test")
        if len((part := getattr(splits, role)).indices)
    }
    fine_tuning = None
    if weighted_layers(loaded.network):
        require_ready(loaded.network)
        network = copy.deepcopy(loaded.network)
        _require_same_form(loaded.source, network, original.model)
        accuracies = {str(original.blueprint.precision): accuracies_of(network, measured, run)}
    elif known is None or original.provenance.recipe is not None:
        raise ModelError(
            f"{loaded.source} gives a network in floating point, but the original was trained with quantization; "
            "expected a network of obliq.quantize, or `obliq retrain` by the original's recipe"
        )
    else:
        if known.fine_tuning is not None:
            fine_tuning = decode(Recipe, known.fine_tuning, "the recipe of fine-tuning")
        network, accuracies = quantize_loaded(
            loaded, original.blueprint, splits.retain, measured, fine_tuning, _listening(run, trace)
        )
        _require_same_form(loaded.source, network, original.model)
    require_other_weights(loaded.source, network, [original])
    record = LoadedWeights(
        source=loaded.source,
        digest=loaded.digest,
        fine_tuning=None if fine_tuning is None or known is None else known.fine_tuning,
        accuracy=accuracies,
        trained_by_call=trained_by_call,
    )
    return _saved(original, splits, request, network, record, None, run, started, trace)


def require_other_weights(source: str, network: nn.Module, others: Sequence[Checkpoint]) -> None:
    """Refuse a retrained network that has the weights of another one, as every gap is measured from it.

    Steps of activations and statistics of batch norm do not count, as they are computed again. Fine-tuning on the
    retain set changes weights, too: it hides where they come from.

    Raises:
        ModelError: naming the other network.
    """
    digest = _parameters_digest(network)
    for other in others:
        if _parameters_digest(other.model) == digest:
            raise _same_weights(source, other.provenance.role)


def _same_weights(source: str, role: str) -> ModelError:
    other = "original" if role == "original" else f"{role} network"
    return ModelError(
        f"{source} holds the weights of the {other}; expected those of a network that was trained without the samples "
        "to forget"
    )


def _parameters_digest(network: nn.Module) -> str:
    """The digest of what training changes: codes and steps of weights, and parameters in floating point."""
    codes = {name: one for name, one in integer_state(network).items() if one.codes is not None}
    trained = {name for name, _ in network.named_parameters()}
    return state_digest(codes, {name: one for name, one in float_state(network).items() if name in trained})


def _saved(
    original: Checkpoint,
    splits: Splits,
    request: Request,
    network: nn.Module,
    record: LoadedWeights,
    recipe: dict[str, SettingValue] | None,
    run: Run,
    started: float,
    trace: Trace,
) -> SavedRun:
    base = weights_digest(original.model)
    provenance = dataclasses.replace(
        original.provenance,
        role="retrained",
        splits_digest=splits.digest,
        counts=role_counts(splits),
        recipe=recipe,
        base_digest=base,
        earlier=earlier_entries(original.provenance, base, request.earlier),
        parts=tuple(part.digest for part in request.parts),
        seconds=time.perf_counter() - started,
        seed=run.seed,
        threads=torch.get_num_threads(),
        versions=present_versions(),
        accuracy={},
        loaded=record,
    )
    return SavedRun(
        Checkpoint(network.cpu(), original.blueprint, provenance, original.source), trace.rows, request
    )


def _listening(run: Run, trace: Trace) -> Run:
    return dataclasses.replace(run, listen=together(run.listen, trace))


def _require_same_form(source: str, network: nn.Module, original: nn.Module) -> None:
    """Raise unless a network has the tensors of the original, at the same bits.

    Raises:
        ModelError: naming the first tensor that differs.
    """
    expected, found = tensor_forms(original), tensor_forms(network)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            given = found.get(name, "missing")
            raise ModelError(
                f"{source}: tensor {name.partition('/')[2]} is {given}; expected "
                f"{expected.get(name, 'no such tensor')}, as in the original"
            )
