"""`obliq show`: what a saved network or an exported file contains."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from obliq.cli.options import Architecture, OutputOptions
from obliq.cli.tables import fields, settings, table
from obliq.cli.verbs import StageListener, Verb, VerbOutput

if TYPE_CHECKING:
    from obliq.checkpoints import Provenance
    from obliq.data.request_file import Request


@dataclass(frozen=True, kw_only=True)
class ShowArguments:
    """Print what a saved network or an exported file contains.

    Example: obliq show runs/unlearned

    It prints layers, bits, sizes and digests. For a saved network it also prints how it was created.

    Attributes:
        path: Folder of a network, or a file that `obliq export` wrote (.onnx or .pte).
    """

    path: tyro.conf.Positional[Path]
    arch: Architecture = None
    output: OutputOptions = field(default_factory=OutputOptions)


def run_show(arguments: ShowArguments, progress: StageListener) -> VerbOutput:
    """Read a folder or a file."""
    from obliq.cli.file_inputs import is_exported_file

    return _show_file(arguments.path) if is_exported_file(arguments.path) else _show_folder(arguments)


def _show_folder(arguments: ShowArguments) -> VerbOutput:
    from obliq.checkpoints.run_folder import load_run
    from obliq.checkpoints.summary import summarise_checkpoint
    from obliq.cli.next_command import free_name, repeated_options
    from obliq.workflow.baseline import accuracy_in_words
    from obliq.workflow.earlier_requests import samples_of, single_requests

    folder = arguments.path
    run = load_run(folder, arguments.arch)
    saved = run.checkpoint
    found, measured = summarise_checkpoint(saved), saved.provenance.accuracy
    blueprint, provenance = found.blueprint, found.provenance
    shape = "x".join(map(str, blueprint["input_shape"]))
    smaller = found.unquantized_bytes / max(1, found.total_bytes)
    lines = [
        f"{provenance['role']} {blueprint['architecture']} {saved.blueprint.bits}, input {shape}, "
        f"{blueprint['classes']} classes",
        *fields(
            {
                "size": f"{found.parameters:,} parameters in {found.total_bytes:,} bytes, "
                f"{smaller:.1f} times smaller than float32",
                "weights digest": found.weights_digest,
                **_inputs(saved.provenance.inputs),
                **_request(run.request, folder),
                **_so_far(saved.provenance, run.request),
                **_history(provenance),
            }
        ),
        *(accuracy_in_words(measured) if measured else ()),
        "",
        *table(
            ["tensor", "kind", "bits", "shape", "bytes"],
            [
                [row.name, row.kind, str(row.bits), "x".join(map(str, row.shape)) or "-", f"{row.bytes:,}"]
                for row in found.rows
            ],
        ),
    ]
    repeated = repeated_options(None, None, arguments.arch, stored=saved.source)
    next_command: list[str | Path] = ["export", folder, "--out", free_name(folder, f"{folder.name}.onnx")]
    next_command += repeated_options(None, architecture=arguments.arch)
    if provenance["role"] == "original":
        unlearned = free_name(folder, "unlearned")
        next_command = [
            "unlearn",
            folder,
            "--forget",
            "random=10%",
            "--out",
            unlearned,
            *repeated,
            "proxy-matching",
        ]
    answered = saved.provenance.forgotten_so_far
    values = found.as_json() | {
        "forgotten_so_far": {
            "requests": single_requests(answered),
            "samples": None if run.request is None else len(samples_of([*run.request.earlier, run.request])),
        }
    }
    return VerbOutput(lines=lines, values=values, next_command=next_command)


def _so_far(provenance: "Provenance", request: "Request | None") -> dict[str, str]:
    """What a network has forgotten where that was more than one request; samples while the requests are there."""
    from obliq.workflow.earlier_requests import counted_requests, samples_of, single_requests

    answered = provenance.forgotten_so_far
    if single_requests(answered) < 2:
        return {}
    words = f"{counted_requests(answered)} forgotten so far"
    if request is not None:
        words += f", {len(samples_of([*request.earlier, request])):,} samples"
    return {"forgotten": words}


def _inputs(contract: Any) -> dict[str, str]:
    """How stored values become inputs, and what the outputs are; nothing where this is not recorded."""
    from obliq.data.names import listed

    if contract is None:
        return {}
    found = {
        "inputs": f"{contract.axes}: {contract.values}",
        "scaling": f"{contract.scaling} for a stored value x",
    }
    return found | ({"classes": listed(contract.class_names)} if contract.class_names else {})


def _request(request: "Request | None", folder: Path) -> dict[str, str]:
    """How many samples were forgotten, while the request is still there; and what vouches for it."""
    from obliq.checkpoints.request_tag import TAG_FILE
    from obliq.data.request_file import REQUEST_FILE

    if request is None:
        return {}
    return {
        "request": f"{len(request.ids):,} samples in {REQUEST_FILE}",
        "authenticity": f"{TAG_FILE}, which an audit checks with --request-key"
        if (folder / TAG_FILE).exists()
        else "none: anyone who can write this folder can replace the request together with its digest",
    }


def _history(provenance: dict[str, Any]) -> dict[str, str]:
    """How a network was created."""
    counts = ", ".join(f"{count:,} {role}" for role, count in provenance["counts"].items())
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    history = {"data": f"{provenance['data']}: {counts}"}
    if provenance["method"]:
        history["method"] = f"{provenance['method']}: {settings(provenance['method_fields'])}"
        history |= _access(provenance["method"], provenance["method_fields"] or {})
    if loaded := provenance.get("loaded"):
        history["weights"] = (
            f"{loaded['source']}, {'fine-tuned' if provenance['recipe'] else 'trained elsewhere'}"
        )
        if loaded["fine_tuning"]:
            history["fine-tuning"] = settings(loaded["fine_tuning"])
        parts = {"train": "training"}
        for stage, accuracy in loaded["accuracy"].items():
            found = (f"{value:.1f} % {parts.get(name, name)}" for name, value in accuracy.items())
            history[f"accuracy, {stage}"] = ", ".join(found)
    if provenance["recipe"]:
        history["recipe"] = settings(provenance["recipe"])
    history["created"] = f"in {provenance['seconds']:,.1f} s with seed {provenance['seed']}"
    history["versions"] = versions
    return history


def _access(method: str, fields: Mapping[str, object]) -> dict[str, str]:
    """What the method reads of the data that remain; nothing for a method that is not installed here."""
    from obliq.methods import used_access

    access = used_access(method, fields)
    return {} if access is None else {"retain data": access}


def _show_file(file: Path) -> VerbOutput:
    """Read a file as strictly as an audit does, without running it.

    The operators and constants of a program are those of the ONNX file that computes the same.
    """
    from obliq.cli.next_command import patching_command
    from obliq.errors import ModelError
    from obliq.exporting import read_exported
    from obliq.exporting.onnx.contents import STORED_BITS
    from obliq.io.strict_json import encode
    from obliq.quantization import packed_size

    read = read_exported(file)
    try:
        digest = read.content_digest
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    contents, size = read.contents, len(read.data)
    operators = dict(Counter(node.operator for node in contents.nodes).most_common())
    rows: list[dict[str, Any]] = []
    for name, held in contents.constants.items():
        kind = contents.kinds[name]
        stored = packed_size(held.size, STORED_BITS[kind])
        rows.append({"name": name, "kind": kind, "shape": held.shape, "bytes": stored})
    values = {
        "file": str(file),
        "format": read.title,
        "form": read.form,
        "input_shape": contents.input_shape,
        "bytes": size,
        "file_digest": read.file_digest,
        "content_digest": digest,
        "stored_weights": read.stored_weights,
        "operators": operators,
        "rows": rows,
        "inputs": contents.inputs,
    }
    shape = "x".join(map(str, contents.input_shape))
    lines = [
        f"{read.title} file of the {read.form} form, input {shape}",
        *fields(
            {
                "size": f"{size:,} bytes, weights in {read.stored_weights}",
                "sha256": read.file_digest,
                "content digest": digest,
                **_inputs(contents.inputs),
                "operators": ", ".join(f"{count} {name}" for name, count in operators.items()),
            }
        ),
        "",
        *table(
            ["constant", "type", "shape", "bytes"],
            [
                [row["name"], row["kind"], "x".join(map(str, row["shape"])) or "-", f"{row['bytes']:,}"]
                for row in rows
            ],
        ),
    ]
    return VerbOutput(
        lines=lines, values=encode(values), next_command=patching_command(file, file, f"NEW{file.suffix}")
    )


VERB = Verb(ShowArguments, run_show)
