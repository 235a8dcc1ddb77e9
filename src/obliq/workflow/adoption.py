"""A network that was trained elsewhere becomes an original, or the retrained reference of one.

Its weights are quantized by calibration, and trained further on their grid when that is wanted. Accuracy is measured
at each stage, so that nobody ships a network that lost its way from one tool to the other.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from obliq.checkpoints import Blueprint, Checkpoint, Provenance
from obliq.checkpoints.metadata import LoadedWeights
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Examples, Partition
from obliq.data.collection import SCALES
from obliq.data.datasets import recorded_data
from obliq.errors import ModelError
from obliq.io.strict_json import encode
from obliq.models.weights_file import load_weights
from obliq.quantization import LayerBits, Precision, bring_in_steps, calibrate_steps
from obliq.run import Run, Trace, together
from obliq.training.loop import Recipe, fit
from obliq.training.prediction import accuracy
from obliq.workflow.loaded_network import LoadedNetwork
from obliq.workflow.network_checks import require_ready
from obliq.workflow.pipeline import input_contract, part_counts, silent_warning
from obliq.workflow.rehearsal import rehearse_training

CALIBRATION_SAMPLES = 512
CALIBRATION_BYTES = 64 * 2**20
"""Of the inputs at most; the values between layers take many times as much. 512 pictures of 3 x 104 x 104, and 111 of
3 x 224 x 224."""
LEAST_SAMPLES = 32

AS_IT_CAME = "as it came"
"""The stage of a network with the quantizers of another tool, in place of `FP32`."""


def adopt_original(
    loaded: LoadedNetwork,
    parts: Partition,
    blueprint: Blueprint,
    fine_tuning: Recipe | None,
    run: Run,
    warn: Callable[[str], object] = silent_warning,
    label: str | None = None,
) -> SavedRun:
    """Turn a network that was trained elsewhere into an original.

    Args:
        loaded: the network and its weights.
        parts: who was in training, and who was not.
        blueprint: form and precision; the architecture is the network's.
        fine_tuning: recipe of quantization-aware fine-tuning on the training part; None to calibrate only.
        run: seed, device and listener.
        warn: receives what to know before anything long begins, such as a layer that cannot be exported.
        label: what the network's record calls the data; see `data_label` where it is left out.

    Raises:
        ModelError: when the network cannot be quantized, and when a batch of fine-tuning does not fit into memory.
    """
    trace, started = Trace(), time.perf_counter()
    listening = dataclasses.replace(run, listen=together(run.listen, trace))
    measured = {role: part for role, part in _parts(parts).items() if len(part.indices)}
    model, accuracies = quantize_loaded(
        loaded, blueprint, parts.train, measured, fine_tuning, listening, warn
    )
    named, source = recorded_data(parts.collection.name, label)
    provenance = Provenance(
        role="original",
        data=named,
        rule=parts.drawn_by,
        partition_digest=parts.digest,
        counts=part_counts(parts),
        seconds=time.perf_counter() - started,
        seed=run.seed,
        threads=torch.get_num_threads(),
        inputs=input_contract(parts, blueprint.classes),
        loaded=LoadedWeights(
            source=loaded.source,
            digest=loaded.digest,
            fine_tuning=None if fine_tuning is None else encode(fine_tuning),
            accuracy=accuracies,
        ),
    )
    return SavedRun(Checkpoint(model.cpu(), blueprint, provenance, source), trace.rows)


def quantize_loaded(
    loaded: LoadedNetwork,
    blueprint: Blueprint,
    training: Examples,
    measured: Mapping[str, Examples],
    fine_tuning: Recipe | None,
    run: Run,
    warn: Callable[[str], object] = silent_warning,
) -> tuple[nn.Module, dict[str, dict[str, float]]]:
    """Quantize a float network, and measure its accuracy at each stage.

    Args:
        loaded: the network; left as it is.
        blueprint: the wanted form.
        training: samples to calibrate on, and to fine-tune on.
        measured: samples to measure accuracy on, by name.
        fine_tuning: recipe of quantization-aware fine-tuning; None to calibrate only.
        run: seed, device and listener.
        warn: as in `adopt_original`.

    Returns:
        The network, and its accuracy in percent by stage and name.

    Raises:
        ModelError: when the network cannot be quantized, or training diverges.
    """
    if loaded.steps is not None and blueprint.precision.is_float:
        raise ModelError(
            f"{loaded.source} has the steps of a quantized network; expected the bits of its training"
        )
    if loaded.form is not None and _form_of(blueprint) != (
        loaded.form.precision,
        loaded.form.layer_bits,
        loaded.form.weight_grid,
    ):
        raise ModelError(
            f"{loaded.source} has quantizers of {loaded.form.bits}, {loaded.form.weight_grid}; expected "
            f"{blueprint.bits}, {blueprint.weight_grid}"
        )
    model = blueprint.build(lambda shape, classes: loaded.network)  # refusals come before the first long step
    batch_size = None if fine_tuning is None else fine_tuning.batch_size
    reason = rehearse_training(model, training, batch_size, blueprint, run)
    if reason is not None:
        warn(f"this network cannot be exported: {reason}")
    first = "FP32" if loaded.foreign is None else AS_IT_CAME
    accuracies = {first: accuracies_of(loaded.as_it_came, measured, run)}
    if loaded.foreign is not None and loaded.form is not None:
        assert isinstance(model, fx.GraphModule)
        model = model.to(run.device)
        bring_in_steps(model, loaded.foreign, loaded.form, _calibration_inputs(training, run))
        accuracies[str(blueprint.precision)] = accuracies_of(model, measured, run)
    elif loaded.steps is not None:
        load_weights(model, loaded.steps, (loaded.source, f"{loaded.architecture} at {blueprint.bits}"))
        require_ready(model)
        accuracies[str(blueprint.precision)] = accuracies_of(model, measured, run)
    elif not blueprint.precision.is_float:
        model = model.to(run.device)
        calibrate_steps(model, _calibration_inputs(training, run), least_error=True)
        accuracies[str(blueprint.precision)] = accuracies_of(model, measured, run)
    if fine_tuning is not None:
        model = fit(model, training, fine_tuning, run)
        accuracies["fine-tuned"] = accuracies_of(model, measured, run)
    return model, accuracies


def _form_of(blueprint: Blueprint) -> tuple[Precision, LayerBits, str]:
    return blueprint.precision, blueprint.layer_bits, blueprint.weight_grid


def _calibration_inputs(training: Examples, run: Run) -> Float[Tensor, "samples ..."]:
    """Training samples drawn at random, fewer of large ones."""
    size = 4 * math.prod(training.collection.sample_shape)  # bytes of one sample
    most = max(LEAST_SAMPLES, min(CALIBRATION_SAMPLES, CALIBRATION_BYTES // size))
    chosen = torch.randperm(len(training), generator=run.generator(purpose=2))[:most]
    return training.collection.fetch(training.indices[chosen]).to(run.device)


def accuracy_by_scale(network: nn.Module, examples: Examples, run: Run) -> dict[str, float]:
    """Accuracy in percent of a float network by the range that bytes become, for data whose inputs are bytes.

    A network that was trained on another range than the one that its data are given in is right far less often.

    Args:
        network: as it came.
        examples: of which at most `CALIBRATION_SAMPLES` are used, spread evenly.
        run: where to compute.

    Returns:
        For each of `SCALES` but the present one; empty for inputs that are no bytes.
    """
    collection = examples.collection
    if not isinstance(collection.inputs, Tensor) or collection.inputs.dtype != torch.uint8:
        return {}
    some = examples.spread(CALIBRATION_SAMPLES).indices
    channels = collection.sample_shape[0]
    found = {}
    for scale, (mean, deviation) in SCALES.items():
        scaled = dataclasses.replace(collection, mean=(mean,) * channels, deviation=(deviation,) * channels)
        if (scaled.mean, scaled.deviation) != (collection.mean, collection.deviation):
            found[scale] = round(accuracy(network.to(run.device), Examples(scaled, some), run.device), 2)
    return found


def _parts(parts: Partition) -> dict[str, Examples]:
    return {"train": parts.train, "holdout": parts.holdout, "test": parts.test}


def accuracies_of(model: nn.Module, measured: Mapping[str, Examples], run: Run) -> dict[str, float]:
    """Accuracy in percent on several sets of samples, by name."""
    on_device = model.to(run.device)
    return {name: round(accuracy(on_device, part, run.device), 2) for name, part in measured.items()}
