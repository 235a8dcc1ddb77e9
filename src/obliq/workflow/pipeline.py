"""Every step with a record, in order: data, original, request, unlearned and retrained network, report.

Each step is a function from values to a value; the command line only calls them. For networks without a record, see
`obliq.workflow.networks`.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from obliq.argument_types import require_flags
from obliq.auditing import Audit, render_audit
from obliq.auditing.measure import ROLES
from obliq.checkpoints import Blueprint, Checkpoint, Provenance, present_versions
from obliq.checkpoints.metadata import LoadedWeights
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Partition, Splits, load_dataset, partition
from obliq.data.datasets import absolute_name, data_to_load, recorded_data
from obliq.data.input_contract import InputContract
from obliq.data.request_file import Request
from obliq.errors import DataError, ModelError, ObliqError
from obliq.io.atomic import new_folder
from obliq.io.strict_json import decode, encode
from obliq.methods import Method, Retrain, registered_name, run_method
from obliq.models import build_model, initialise, require_drawn_weights
from obliq.quantization import has_foreign_quantizers, weights_digest
from obliq.report import ReportContext, Shipment
from obliq.run import Run, Trace, together
from obliq.training.loop import Recipe, fit
from obliq.workflow.earlier_requests import earlier_entries
from obliq.workflow.gate import pass_gate
from obliq.workflow.loaded_network import LoadedNetwork
from obliq.workflow.rehearsal import rehearse_training

AUDIT, REPORT = "audit.json", "report.html"


def silent_warning(line: str) -> None:
    """Drop a warning."""


def train_original(
    parts: Partition,
    blueprint: Blueprint,
    recipe: Recipe,
    run: Run,
    start: LoadedNetwork | None = None,
    warn: Callable[[str], object] = silent_warning,
    label: str | None = None,
) -> SavedRun:
    """Train a network on the whole training part.

    Args:
        parts: what to train on.
        blueprint: form of the network.
        recipe: how to train.
        run: its seed draws the weights, unless they were loaded.
        start: weights to begin with.
        warn: receives what to know before training begins, such as a layer that cannot be exported.
        label: what the network's record calls the data; see `data_label` where it is left out.

    Raises:
        ModelError: when the network is built by code of the user's and comes with trained weights, although none were
            to be loaded; and when a batch does not fit into memory.
    """
    trace, started = Trace(), time.perf_counter()
    if start is not None:
        _require_float(start.as_it_came, blueprint)
        model = blueprint.build(lambda shape, classes: start.network)
    else:
        if blueprint.is_user_code:
            _require_float(
                build_model(blueprint.architecture, blueprint.input_shape, blueprint.classes), blueprint
            )
            require_drawn_weights(blueprint.build, blueprint.architecture)
        model = blueprint.build()
        initialise(model, run.seed)
    reason = rehearse_training(model, parts.train, recipe.batch_size, blueprint, run)
    if reason is not None:
        warn(f"after training, this network cannot be exported: {reason}")
    model = fit(model, parts.train, recipe, dataclasses.replace(run, listen=together(run.listen, trace)))
    named, source = recorded_data(parts.collection.name, label)
    provenance = Provenance(
        role="original",
        data=named,
        rule=parts.drawn_by,
        partition_digest=parts.digest,
        counts=part_counts(parts),
        recipe=encode(recipe),
        seconds=time.perf_counter() - started,
        seed=run.seed,
        threads=torch.get_num_threads(),
        inputs=input_contract(parts, blueprint.classes),
        loaded=None if start is None else LoadedWeights(source=start.source, digest=start.digest),
    )
    return SavedRun(Checkpoint(model.cpu(), blueprint, provenance, source), trace.rows)


def _require_float(network: nn.Module, blueprint: Blueprint) -> None:
    """Raise for quantizers of another tool, which training by Obliq would replace by its own.

    Raises:
        ModelError: naming the network.
    """
    if has_foreign_quantizers(network):
        raise ModelError(
            f"{blueprint.architecture} returns a network with quantizers of another tool; expected a network in "
            "floating point, which `obliq train` quantizes, or `obliq adopt`, which keeps bits and steps"
        )


def unlearn_original(
    original: Checkpoint, splits: Splits, request: Request, method: Method, run: Run
) -> SavedRun:
    """Apply a method to an original network.

    Raises:
        DataError: when the splits are not of the data that the original was trained on.
    """
    if splits.partition.digest != original.provenance.partition_digest:
        raise DataError(
            f"the network was trained on a division with digest {original.provenance.partition_digest[:12]}..., this "
            f"one has {splits.partition.digest[:12]}...; expected the same data, divided in the same way"
        )
    base = weights_digest(original.model)
    entries = earlier_entries(original.provenance, base, request.earlier)
    trace, started = Trace(), time.perf_counter()
    listening = dataclasses.replace(run, listen=together(run.listen, trace))
    model = run_method(method, original.model, splits, listening)
    seconds = time.perf_counter() - started
    fields = encode(method)
    provenance = dataclasses.replace(
        original.provenance,
        role="retrained" if isinstance(method, Retrain) else "unlearned",
        splits_digest=splits.digest,
        counts=role_counts(splits),
        recipe=fields.pop("recipe", None),
        method=method_name(method),
        method_fields=fields,
        base_digest=base,
        seconds=seconds,
        seed=run.seed,
        threads=torch.get_num_threads(),
        versions=present_versions(),
        accuracy={},
        loaded=None,  # the weights are no longer those
        gate=None
        if isinstance(method, Retrain)
        else pass_gate(original.model, model, splits, trace.rows, original.provenance.gate),
        earlier=entries,
        parts=tuple(part.digest for part in request.parts),
    )
    found = Checkpoint(model.cpu(), original.blueprint, provenance, original.source)
    return SavedRun(found, trace.rows, request)


def input_contract(parts: Partition, outputs: int) -> InputContract:
    """How samples are scaled; outputs have names only where there are as many classes."""
    found = InputContract.of(parts.collection)
    return found if len(found.class_names) == outputs else dataclasses.replace(found, class_names=())


def part_counts(parts: Partition) -> dict[str, int]:
    """How many samples each part has; 0 for one that is missing."""
    return {name: len(getattr(parts, name).indices) for name in ("train", "holdout", "test")}


def role_counts(splits: Splits) -> dict[str, int]:
    """How many samples have each role; 0 for one that is missing."""
    return {role: len(getattr(splits, role).indices) for role in ROLES}


def method_name(method: Method) -> str:
    """The name under which a method is registered; its class's own when it is not."""
    return registered_name(type(method)) or type(method).__name__


def recipe_of(provenance: Provenance) -> Recipe:
    """The recipe by which an original was trained from drawn weights, and which a retrained reference must follow.

    Raises:
        ObliqError: when the network was trained elsewhere, or from loaded weights.
    """
    if provenance.recipe is None:
        raise ObliqError(
            "the network was trained elsewhere, so there is no recipe of it to follow; expected an original that "
            "`obliq train` wrote"
        )
    if provenance.loaded is not None:
        raise ObliqError(
            f"the training of the network began with weights from {provenance.loaded.source}; expected one that began "
            "with drawn weights"
        )
    return decode(Recipe, provenance.recipe, "the recipe that the network records")


def same_partition(original: Checkpoint, folder: Path | None, trusted: str | None = None) -> Partition:
    """Load the data that a network was trained on and divide it as then.

    Args:
        original: records which data.
        folder: where the files of a built-in set are.
        trusted: the name of the data, where they were moved. Needed when they come from code of the user's
            (`module:function`), which is never imported on a file's word alone, and where the network records only a
            label.

    Raises:
        DataError: when the data are not found, are no longer the same, or would run code that the caller has not named.
    """
    provenance = original.provenance
    return recorded_partition(provenance, original.source or provenance.data, folder, trusted)


def recorded_partition(
    provenance: Provenance, source: str, folder: Path | None, trusted: str | None = None
) -> Partition:
    """The same from what a network records, without the network.

    Args:
        provenance: states the division of the data, and their digest.
        source: the name of the data that the network's folder holds.
        folder: where the files of a built-in set are.
        trusted: see `same_partition`.

    Raises:
        DataError: when the data are not found, are no longer the same, or would run code that the caller has not named.
    """
    data = data_to_load(source, trusted)
    try:
        collection = load_dataset(data, folder)
    except DataError as error:
        if trusted is not None or ":" not in data:
            raise
        relative = "" if absolute_name(data) == data else f", relative to the working folder ({Path.cwd()})"
        raise DataError(
            f"{error}. source.json in the folder of the network names this place{relative}; if the data lie elsewhere "
            "now, pass --data with their name"
        ) from error
    parts = partition(collection, provenance.rule)
    if parts.digest != provenance.partition_digest:
        raise DataError(
            f"{data} is not what the network was trained on: digest {parts.digest[:12]}..., expected "
            f"{provenance.partition_digest[:12]}..."
        )
    return parts


def source_now(original: Checkpoint, parts: Partition) -> str | None:
    """Where the data of a network were found now, for the folders of new networks; None for a built-in set."""
    name = parts.collection.name
    return None if name == original.provenance.data else absolute_name(name)


def write_report(
    audit: Audit,
    folder: str | Path,
    context: ReportContext | None = None,
    shipment: Shipment | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write `audit.json` and `report.html` into a new folder.

    Args:
        audit: what was measured.
        folder: where; it appears when it is complete.
        context: what the report states around the numbers, such as data and method; "not recorded" when left out.
        shipment: what is sent to devices, if anything is.
        overwrite: whether a folder that exists may be replaced.

    Returns:
        The path of the report.

    Raises:
        ObliqError: when the folder exists or cannot be written, and for an argument of another type.

    Example:
        >>> obliq.write_report(audit, "out")  # doctest: +SKIP
    """
    require_flags(overwrite=overwrite)
    with new_folder(Path(folder), overwrite=overwrite) as draft:
        write_report_files(audit, draft, context or ReportContext(), shipment)
    return Path(folder) / REPORT


def write_report_files(
    audit: Audit, folder: Path, context: ReportContext, shipment: Shipment | None = None
) -> None:
    """Write `audit.json` and `report.html` into an existing folder; see `write_report`."""
    from obliq.report.page import (
        render_audit_report,  # here, as it imports matplotlib, which takes half a second
    )

    (folder / AUDIT).write_text(render_audit(audit), encoding="utf-8")
    (folder / REPORT).write_text(render_audit_report(audit, context, shipment), encoding="utf-8")
