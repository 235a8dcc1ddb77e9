"""`obliq export`: the file that a device runs, and how it agrees with the network."""

import dataclasses
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from obliq.cli.options import Architecture, DataFolder, File, OutputOptions, Overwrite
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obliq.checkpoints import Provenance


@dataclass(frozen=True, kw_only=True)
class ExportArguments:
    """Write the file that a device runs, and check it.

    Example: obliq export runs/unlearned --to onnx --out unlearned.onnx --check fashion-mnist

    A file stores biases as integers, so its answers differ a little from those of the trained network. Use
    the option `--to network` to write the network with the biases of the file. This network exports to the same file,
    and an audit of it applies to the file.

    Attributes:
        folder: Folder of the network.
        to: `onnx` for ONNX Runtime, `executorch` for ExecuTorch with XNNPACK, `c` for one C99 file with the
            network and its kernels, `network` for a folder that computes in PyTorch what the file does. The folder
            holds no request, float weights or trace.
        form: `integer` runs fastest, `compact` packs weights into 4 or 2 bits, `float` is the FP32 reference.
            ExecuTorch and C support only `integer`.
        out: New file or folder. It is created when the result is complete. Next to an .onnx or .pte file, the record
            OUT.provenance.json states which requests the network answers. Keep both together: `obliq unlearn FILE`
            then never trains on samples that were forgotten before. Devices do not need the record.
        check: Run the file on these data, print how closely it agrees with the network, and write OUT.parity.json. Of
            the network's own data set, it uses the test set. Other data are, for example, npz:FILE.
        check_samples: Check at most this many samples of each data set, evenly spaced; 0 for all.
        parity_out: Write the measured agreement to this file instead.
        accept: Export a network although it failed its gate (see `obliq unlearn --help`), or its last audit refused it.
        threads: CPU threads; 0 for the default of torch.
    """

    folder: tyro.conf.Positional[Path]
    out: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    overwrite: Overwrite = False
    to: Literal["onnx", "executorch", "c", "network"] = "onnx"
    form: Literal["integer", "compact", "float"] = "integer"
    check: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATA [DATA ...]", help_behavior_hint="")] = ()
    check_samples: int = 2000
    parity_out: File = None
    data_folder: DataFolder = None
    arch: Architecture = None
    accept: bool = False
    threads: int = 0
    output: OutputOptions = field(default_factory=OutputOptions)


def run_export(arguments: ExportArguments, progress: StageListener) -> VerbOutput:
    """Write a file, or a network in PyTorch that computes what the file does."""
    from obliq.cli.computation import use_threads

    use_threads(arguments.threads)
    return _export_network(arguments) if arguments.to == "network" else _export_file(arguments, progress)


def _export_file(arguments: ExportArguments, progress: StageListener) -> VerbOutput:
    from obliq.checkpoints.file_record import export_record, export_record_file
    from obliq.checkpoints.run_folder import load_run
    from obliq.cli.output import parity_lines
    from obliq.exporting import (
        Parity,
        check,
        export_file,
        format_named,
        parse_exported,
        record_parity,
        write_parity_record,
    )
    from obliq.io.atomic import refuse_existing_file, write_files
    from obliq.io.strict_json import parse_json
    from obliq.workflow.gate import require_passed
    from obliq.workflow.last_audit import require_not_refused
    from obliq.workflow.parity_samples import parity_label, parity_samples

    out, kind = arguments.out, format_named(arguments.to)
    if arguments.form not in kind.forms:
        raise DataError(
            f"--form {arguments.form} with --to {kind.format}; expected {', '.join(kind.forms)}: codes are bytes there"
        )
    if arguments.check:
        kind.require_read()
    kind.require_packages(runs=bool(arguments.check))
    parity_out = arguments.parity_out or out.with_name(f"{out.name}.parity.json")
    written = [
        out,
        *([parity_out] if arguments.check else []),
        *([export_record_file(out)] if kind.is_read else []),
    ]
    for file in written:
        refuse_existing_file(file, overwrite=arguments.overwrite)
    saved = load_run(arguments.folder, arguments.arch).checkpoint
    model, shape = saved.model, saved.blueprint.input_shape
    require_passed(saved.provenance, str(arguments.folder), accept=arguments.accept)
    require_not_refused(arguments.folder, accept=arguments.accept)
    contract = saved.provenance.inputs
    content = export_file(model, shape, arguments.form, to=arguments.to, inputs=contract)
    checks: dict[str, Parity] = {}
    for data in arguments.check:
        inputs = parity_samples(saved, data, arguments.data_folder, arguments.check_samples)
        progress.stage(f"checking the file on {len(inputs):,} samples of {data}")
        found = check(model, content, inputs)
        label = parity_label(saved, data)
        number = next(one for one in itertools.count(1) if _numbered(label, one) not in checks)
        checks[_numbered(label, number)] = found
    record = record_parity(model, shape, content, arguments.form, checks, contract)
    proof = {parity_out: write_parity_record(record)} if checks else {}
    origin: dict[Path, str] = {}
    if kind.is_read:
        digest = parse_exported(content).content_digest
        origin = export_record(out, content, digest, saved.provenance, record.network_digest)
    write_files({**proof, **origin, out: content}, overwrite=arguments.overwrite)
    values: dict[str, Any] = {"file": str(out), **parse_json(write_parity_record(record).encode())}
    lines = [
        f"{arguments.form} {kind.title} file {out}, {len(content):,} bytes",
        f"sha256 {record.file_digest}",
    ]
    lines += [f"record: {path}, to keep with the file" for path in origin]
    lines += [f"inputs: {contract.described}"] if contract else []
    if checks:
        values["parity"] = str(parity_out)
        lines += parity_lines(record, parity_out)
    follows = _to_a_patch(arguments, out, saved.provenance, record.network_digest) if kind.is_read else ()
    return VerbOutput(lines=lines, values=values, next_command=follows)


def _to_a_patch(
    arguments: ExportArguments, out: Path, provenance: "Provenance", digest: str
) -> "Sequence[str | Path]":
    """The patch between the files of an original and of a network made from it, or the export that it still needs."""
    from obliq.cli.nearby_networks import exported_file, original_of
    from obliq.cli.next_command import free_name, patching_command, repeated_options

    if provenance.role == "original":
        new = exported_file(out, digest, of_original=False)
        return () if new is None else patching_command(out, out, new)
    old = exported_file(out, provenance.original_digest or "", of_original=True)
    if old is None and (original := original_of(arguments.folder, provenance)) is not None:
        file = free_name(out, f"original{out.suffix}")
        words = ["--to", arguments.to] if arguments.to != ExportArguments.to else []
        words += ["--form", arguments.form] if arguments.form != ExportArguments.form else []
        repeated = repeated_options(None, architecture=arguments.arch)
        return ["export", original.folder, "--out", file, *words, *repeated]
    return patching_command(out, old or f"OLD{out.suffix}", out)


def _numbered(label: str, number: int) -> str:
    """The name of a data set, which may be checked twice."""
    return label if number == 1 else f"{label} {number}"


def _export_network(arguments: ExportArguments) -> VerbOutput:
    """Write a folder that ships: its network adds the biases that the file adds, and nothing personal is with it."""
    from obliq.checkpoints import load_checkpoint, save_checkpoint
    from obliq.exporting import deployed
    from obliq.io.atomic import refuse_existing_folder
    from obliq.quantization import weights_digest
    from obliq.run import utc_now
    from obliq.workflow.gate import require_passed
    from obliq.workflow.last_audit import require_not_refused

    if arguments.check or arguments.parity_out:
        raise DataError("--check compares a file; expected it with --to onnx or executorch")
    if arguments.form != ExportArguments.form:
        raise DataError(
            f"--form {arguments.form} is a form of files; expected it with --to onnx or executorch"
        )
    refuse_existing_folder(arguments.out, overwrite=arguments.overwrite)
    saved = load_checkpoint(arguments.folder, arguments.arch)
    require_passed(saved.provenance, str(arguments.folder), accept=arguments.accept)
    require_not_refused(arguments.folder, accept=arguments.accept)
    model = deployed(saved.model, saved.blueprint.input_shape)
    shipped = dataclasses.replace(saved, model=model)
    created = utc_now().isoformat()
    save_checkpoint(arguments.out, shipped, latent=False, overwrite=arguments.overwrite, created=created)
    digest = weights_digest(model)
    return VerbOutput(
        lines=[f"network with the file's biases in {arguments.out}", f"weights digest {digest}"],
        values={"folder": str(arguments.out), "weights_digest": digest},
    )


VERB = Verb(ExportArguments, run_export)
