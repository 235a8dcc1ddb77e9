"""`obliq show`: what a saved network or an exported file contains."""

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
    repeated = repeated_options(None, saved.source, arguments.arch)
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
        else "none: whoever can write this folder can replace the request together with its digest",
    }


def _history(provenance: dict[str, Any]) -> dict[str, str]:
    """How a network was created."""
    counts = ", ".join(f"{count:,} {role}" for role, count in provenance["counts"].items())
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    history = {"data": f"{provenance['data']}: {counts}"}
    if provenance["method"]:
        history["method"] = f"{provenance['method']}: {settings(provenance['method_fields'])}"
        history |= _access(provenance["method"])
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


def _access(method: str) -> dict[str, str]:
    """What the method reads of the data that remain; nothing for a method that is not installed here."""
    from obliq.methods import access_of, available_methods

    kind = available_methods().get(method)
    return {"retain data": access_of(kind)} if kind is not None else {}


def _show_file(file: Path) -> VerbOutput:
    from obliq.exporting.summary import summarise_file
    from obliq.io.strict_json import encode

    found = summarise_file(file)
    shape = "x".join(map(str, found.input_shape))
    lines = [
        f"{found.format} file of the {found.form} form, input {shape}",
        *fields(
            {
                "size": f"{found.bytes:,} bytes, weights in {found.stored_weights}",
                "sha256": found.file_digest,
                "content digest": found.content_digest,
                **_inputs(found.inputs),
                "operators": ", ".join(f"{count} {name}" for name, count in found.operators.items()),
            }
        ),
        "",
        *table(
            ["constant", "type", "shape", "bytes"],
            [
                [row.name, row.kind, "x".join(map(str, row.shape)) or "-", f"{row.bytes:,}"]
                for row in found.rows
            ],
        ),
    ]
    return VerbOutput(lines=lines, values=encode(found), next_command=("patch", "make", "--help"))


VERB = Verb(ShowArguments, run_show)
