"""A network that was trained elsewhere becomes an original, or the retrained reference of one.

Its weights are quantized by calibration, and trained further on their grid when that is wanted. Accuracy is measured
at each stage, so that nobody ships a network that lost its way from one tool to the other.
"""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from obliq.checkpoints import Blueprint, Checkpoint, Provenance
from obliq.checkpoints.metadata import LoadedWeights
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Examples, Partition
from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.io.strict_json import encode
from obliq.models import build_model
from obliq.models.weights_file import load_weights, read_weights
from obliq.quantization import calibrate_steps, float_state, state_digest
from obliq.run import Run, Trace, together
from obliq.training.loop import Recipe, accuracy, fit
from obliq.workflow.network_checks import outputs_of
from obliq.workflow.pipeline import part_counts

CALIBRATION_SAMPLES = 512
INCLUDED = "included"
"""In place of a file: the weights that the function itself returns."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A float network with the weights that it was trained to.

    Attributes:
        network: in evaluation mode.
        architecture: what builds it, as the user named it.
        source: name of the file, or of the function.
        digest: SHA-256 of the file, or of the weights.
        notes: what was changed on the way, in words.
    """

    network: nn.Module
    architecture: str
    source: str
    digest: str
    notes: tuple[str, ...] = ()


def load_network(architecture: str, weights: str | Path, data: Examples) -> LoadedNetwork:
    """Build a network and load its weights.

    Args:
        architecture: a built-in name, or `module:function`, which is imported and called.
        weights: a file, or `included` for the weights that the function returns.
        data: samples that it must be able to read, with labels that it must know.

    Raises:
        ModelError: when the network cannot be built or cannot read the samples, or when the weights do not fit it.
    """
    collection = data.collection
    if str(weights) == INCLUDED:
        with torch.random.fork_rng(devices=[]):
            network = build_model(architecture, collection.sample_shape, collection.classes)
        found = LoadedNetwork(
            network.eval(), architecture, architecture, state_digest({}, float_state(network))
        )
    else:
        read = read_weights(Path(weights))
        with torch.random.fork_rng(devices=[]):
            network = build_model(architecture, collection.sample_shape, collection.classes)
        notes = load_weights(network, read, (str(weights), architecture))
        found = LoadedNetwork(network.eval(), architecture, Path(weights).name, read.digest, notes)
    outputs = outputs_of(found.network, data)
    if outputs < collection.classes:
        raise ModelError(
            f"{architecture} distinguishes {outputs} classes, but {collection.name} has {collection.classes}; expected "
            "a network with an output for each"
        )
    return found


def adopt_original(
    loaded: LoadedNetwork, parts: Partition, blueprint: Blueprint, fine_tuning: Recipe | None, run: Run
) -> SavedRun:
    """Turn a network that was trained elsewhere into an original.

    Args:
        loaded: the network and its weights.
        parts: who was in training, and who was not.
        blueprint: form and precision; the architecture is the network's.
        fine_tuning: recipe of quantization-aware fine-tuning on the training part; None to calibrate only.
        run: seed, device and listener.

    Raises:
        ModelError: when the network cannot be quantized.
    """
    trace, started = Trace(), time.perf_counter()
    listening = dataclasses.replace(run, listen=together(run.listen, trace))
    measured = {role: part for role, part in _parts(parts).items() if len(part.indices)}
    model, accuracies = quantize_loaded(loaded, blueprint, parts.train, measured, fine_tuning, listening)
    provenance = Provenance(
        role="original",
        data=parts.collection.name,
        rule=parts.drawn_by,
        partition_digest=parts.digest,
        counts=part_counts(parts),
        seconds=time.perf_counter() - started,
        seed=run.seed,
        threads=torch.get_num_threads(),
        inputs=_inputs(parts, blueprint.classes),
        loaded=LoadedWeights(
            source=loaded.source,
            digest=loaded.digest,
            fine_tuning=None if fine_tuning is None else encode(fine_tuning),
            accuracy=accuracies,
        ),
    )
    return SavedRun(Checkpoint(model.cpu(), blueprint, provenance), trace.rows)


def quantize_loaded(
    loaded: LoadedNetwork,
    blueprint: Blueprint,
    training: Examples,
    measured: Mapping[str, Examples],
    fine_tuning: Recipe | None,
    run: Run,
) -> tuple[nn.Module, dict[str, dict[str, float]]]:
    """Quantize a float network, and measure its accuracy at each stage.

    Args:
        loaded: the network; left as it is.
        blueprint: the wanted form.
        training: samples to calibrate on, and to fine-tune on.
        measured: samples to measure accuracy on, by name.
        fine_tuning: recipe of quantization-aware fine-tuning; None to calibrate only.
        run: seed, device and listener.

    Returns:
        The network, and its accuracy in percent by stage and name.

    Raises:
        ModelError: when the network cannot be quantized, or training diverges.
    """
    model = blueprint.build(lambda shape, classes: loaded.network)  # refusals come before the first long step
    accuracies = {"FP32": _accuracies(loaded.network, measured, run)}
    if not blueprint.precision.is_float:
        generator = run.generator(purpose=2)
        chosen = torch.randperm(len(training), generator=generator)[:CALIBRATION_SAMPLES]
        model = model.to(run.device)
        inputs = training.collection.fetch(training.indices[chosen]).to(run.device)
        calibrate_steps(model, inputs, least_error=True)
        accuracies[str(blueprint.precision)] = _accuracies(model, measured, run)
    if fine_tuning is not None:
        model = fit(model, training, fine_tuning, run)
        accuracies["fine-tuned"] = _accuracies(model, measured, run)
    return model, accuracies


def _inputs(parts: Partition, outputs: int) -> InputContract:
    """How samples are scaled; outputs have names only where there are as many classes."""
    found = InputContract.of(parts.collection)
    return found if len(found.class_names) == outputs else dataclasses.replace(found, class_names=())


def _parts(parts: Partition) -> dict[str, Examples]:
    return {"train": parts.train, "holdout": parts.holdout, "test": parts.test}


def _accuracies(model: nn.Module, measured: Mapping[str, Examples], run: Run) -> dict[str, float]:
    on_device = model.to(run.device)
    return {name: round(accuracy(on_device, part, run.device), 2) for name, part in measured.items()}
