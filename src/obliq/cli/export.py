"""The verb that writes what a device runs."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from obliq.checkpoints import Checkpoint
from obliq.checkpoints.run_folder import SavedRun, load_run, save_run
from obliq.cli.arguments import Export
from obliq.cli.progress import Narrator
from obliq.cli.tables import parity_lines
from obliq.cli.verbs import Outcome, started
from obliq.data import load_dataset
from obliq.errors import DataError
from obliq.exporting import (
    Parity,
    ParityRecord,
    check,
    deployed,
    export_executorch,
    export_onnx,
    sha256_of,
    write_parity_record,
)
from obliq.io.atomic import refuse_existing_file, refuse_existing_folder, write_file
from obliq.io.strict_json import encode
from obliq.quantization import weights_digest
from obliq.workflow.pipeline import same_partition


def run_export(arguments: Export, narrator: Narrator) -> Outcome:
    """Write a file or a deployed network."""
    started(arguments.run, narrator)
    if arguments.to == "network":
        return _network(arguments)
    in_executorch = arguments.to == "executorch"
    if in_executorch and arguments.form != "integer":
        raise DataError(
            f"--form {arguments.form} with --to executorch; expected integer: codes are bytes there"
        )
    out = arguments.out
    parity_out = arguments.parity_out or out.with_name(f"{out.name}.parity.json")
    for file in (out, parity_out) if arguments.check else (out,):
        refuse_existing_file(file, overwrite=arguments.overwrite)
    saved = load_run(arguments.folder, arguments.arch).checkpoint
    shape = saved.blueprint.input_shape
    content = (
        export_executorch(saved.model, shape)
        if in_executorch
        else export_onnx(saved.model, shape, arguments.form)
    )
    checks = {name: _checked(arguments, saved, content, name, narrator) for name in arguments.check}
    record = ParityRecord(
        form=arguments.form, file_digest=sha256_of(content), file_bytes=len(content),
        network_digest=weights_digest(saved.model), deployed_digest=weights_digest(deployed(saved.model, shape)),
        checks=checks,
    )  # fmt: skip
    if checks:
        write_file(parity_out, write_parity_record(record).encode(), overwrite=arguments.overwrite)
    write_file(out, content, overwrite=arguments.overwrite)
    values: dict[str, Any] = {
        "file": str(out),
        **{name: encode(value) for name, value in vars(record).items()},
    }
    kind = "ExecuTorch" if in_executorch else "ONNX"
    lines = [f"{arguments.form} {kind} file {out}, {len(content):,} bytes, sha256 {record.file_digest}"]
    if checks:
        values["parity"] = str(parity_out)
        lines += parity_lines(record, parity_out)
    return Outcome(lines, values)


def _network(arguments: Export) -> Outcome:
    """A folder as any other, whose network adds the biases that the file adds."""
    if arguments.check or arguments.parity_out:
        raise DataError("--check compares a file; expected it with --to onnx or executorch")
    refuse_existing_folder(arguments.out, overwrite=arguments.overwrite)
    made = load_run(arguments.folder, arguments.arch)
    model = deployed(made.checkpoint.model, made.checkpoint.blueprint.input_shape)
    changed = SavedRun(dataclasses.replace(made.checkpoint, model=model), made.trace, made.request)
    save_run(arguments.out, changed, overwrite=arguments.overwrite)
    digest = weights_digest(model)
    line = f"network with the file's biases in {arguments.out}, weights digest {digest}"
    return Outcome([line], {"folder": str(arguments.out), "weights_digest": digest})


def _checked(arguments: Export, saved: Checkpoint, content: bytes, name: str, narrator: Narrator) -> Parity:
    inputs = samples_of(saved, name, arguments.data_folder, arguments.check_samples)
    narrator.stage(f"checking the file on {len(inputs)} samples of {name}")
    return check(saved.model, content, inputs)


def samples_of(saved: Checkpoint, name: str, folder: Path | None, most: int) -> Tensor:
    """Standardised inputs: of the network's own data the test part, of others their test part or everything.

    Raises:
        DataError: when there is no such data, or its samples have another shape than the network's.
    """
    if most < 0:
        raise DataError(f"check_samples {most}; expected 0 (all) or more")
    if name == saved.provenance.data:
        parts = same_partition(saved, folder, name)
        collection, indices = parts.collection, parts.test.indices
    else:
        collection = load_dataset(name, folder)
        marked = collection.official_test
        chosen = (
            torch.ones(len(collection), dtype=torch.bool) if marked is None or not marked.any() else marked
        )
        indices = chosen.nonzero().flatten()
    if collection.sample_shape != saved.blueprint.input_shape:
        raise DataError(
            f"{name} has samples of shape {collection.sample_shape}; expected {saved.blueprint.input_shape}"
        )
    if 0 < most < len(indices):
        indices = indices[torch.arange(most) * len(indices) // most]
    return collection.fetch(indices)
