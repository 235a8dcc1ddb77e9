"""What the verbs propose next, from what the user named and the networks that lie near it."""

import shlex
from contextlib import suppress
from pathlib import Path

import torch

from obliq.auditing import Audit
from obliq.auditing.verdict import ENOUGH_REFERENCES
from obliq.checkpoints import Checkpoint, Provenance
from obliq.checkpoints.file_record import unlearned_file
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.cli.audit import AuditArguments
from obliq.cli.file_inputs import division_words, is_exported_file
from obliq.cli.nearby_networks import NearbyOriginal, file_before, original_of, original_of_file
from obliq.cli.next_command import free_name, patching_command, repeated_options, typed
from obliq.cli.options import RequestOptions
from obliq.cli.unlearn import UnlearnArguments
from obliq.data import MissingExamples, Partition, parse_selector, select
from obliq.data.collection import UNKNOWN_SUBJECT
from obliq.data.request_file import REQUEST_FILE, load_request
from obliq.data.selectors import escaped
from obliq.errors import ObliqError
from obliq.workflow.advice import RECOMMENDED
from obliq.workflow.new_request import request_file
from obliq.workflow.pipeline import method_name
from obliq.workflow.request_limits import require_moderate
from obliq.workflow.way_to_retrain import PLACEHOLDERS, way_to_retrain

Words = list[str | Path]

DEFAULT = method_name(RECOMMENDED)
WITHOUT_HOLDOUT = "oeu"
"""A method for networks that were trained without holdout samples, which the default compares with."""

MOST_TRIED = 20
"""People of whom it is tried whether they can be an example."""

FILES_ALONE = (
    "A file records no training, so Obliq cannot retrain its network. Train it again yourself without the samples of "
    "the request, several times, export each network, and pass all files: --retrained FILE FILE FILE FILE"
)


ONCE_PER_SEED = (
    "Obliq cannot repeat the training of this network by itself. Run the command below once per network, each with "
    "another --seed and --out. "
    "Then pass all folders: --retrained FOLDER FOLDER FOLDER FOLDER"
)


def after_original(original: Path, parts: Partition, repeated: Words) -> Words:
    """Forget something of what a new original learned, by the default method; without holdout samples, by another."""
    method = WITHOUT_HOLDOUT if isinstance(parts.holdout, MissingExamples) else DEFAULT
    out = free_name(original, "unlearned")
    return ["unlearn", original, "--forget", _example(parts), "--out", out, *repeated, method]


def _example(parts: Partition) -> str:
    """The first person of the training part whom a request may name; a random tenth where the data know nobody."""
    owners = parts.collection.subjects
    people = [] if owners is None else torch.unique(owners[parts.train.indices]).tolist()
    for person in people[:MOST_TRIED]:
        text = (
            f"subject={escaped(parts.collection.subject_name(person))}" if person != UNKNOWN_SUBJECT else ""
        )
        with suppress(ObliqError):  # a name that is ambiguous, or someone who gave most of the samples
            selector = parse_selector(text)
            require_moderate(parts.forgetting(select(selector, parts, seed=0)), selector, accept=False)
            return text
    return "random=10%"


def after_request(arguments: RequestOptions, base: Checkpoint, role: str, *, advised: bool) -> Words:
    """What follows an answered request.

    This is an audit that can decide, what makes a network that the audit needs for the same request, or the export of a
    retrained network where no method is recommended (`advised`).
    """
    out, original, data = arguments.out, arguments.original, arguments.data
    repeated = repeated_options(data.data_folder, data.data, data.arch)
    same_request: Words = ["--forget", _same_request(out / REQUEST_FILE), "--out"]
    if role == "unlearned":
        first = original_of(original, base.provenance)
        if first is None or first.provenance.is_repeatable:
            before = "ORIGINAL" if first is None else first.folder
            audit = free_name(out, "audit")
            return ["audit", before, out, "--references", str(ENOUGH_REFERENCES), "--out", audit, *repeated]
        retrained = free_name(out, "retrained")
        return [
            "retrain",
            first.folder,
            *same_request,
            retrained,
            *way_to_retrain(first.provenance),
            *repeated,
        ]
    file = request_file(arguments.forget[0]) if len(arguments.forget) == 1 else None
    answered = None if file is None else _network_in(file.parent)
    if answered is not None:
        several = ["--references", str(ENOUGH_REFERENCES)] if base.provenance.is_repeatable else []
        audit = free_name(out, "audit")
        return ["audit", original, answered, "--retrained", out, *several, "--out", audit, *repeated]
    if advised:
        code = repeated_options(None, architecture=data.arch)
        return ["export", out, "--out", free_name(out, "retrained.onnx"), *code]
    unlearned = free_name(out, "unlearned")
    return ["unlearn", original, *same_request, unlearned, *repeated, DEFAULT]


def retraining_hint(
    arguments: RequestOptions, first: NearbyOriginal | None, network: Provenance | None
) -> str:
    """The command that retrains for the same request, without the samples of earlier requests.

    Args:
        arguments: the request.
        first: the original, which alone can be retrained; None where it does not lie near.
        network: how the network or file that the user named came about, whose earlier requests lie near it; None where
            that is not recorded.
    """
    data = arguments.data
    architecture = data.arch or (first.architecture if first else None)
    answered = network is not None and network.role != "original"
    before = [f"requests={_folder_of(arguments.original) / REQUEST_FILE}"] if answered else []
    named = [word for text in (*before, *arguments.forget) for word in ("--forget", text)]
    words: Words = ["obliq", "retrain", "ORIGINAL" if first is None else first.folder, *named, "--out"]
    words.append(free_name(arguments.out, "retrained"))
    way = way_to_retrain(first.provenance) if first else ()
    words += [*way, *repeated_options(data.data_folder, data.data, architecture)]
    seed = getattr(getattr(arguments, "compute", None), "seed", 0)
    words += ["--seed", str(seed)] if seed else []
    meanings = {"ORIGINAL": "the folder of the network before all requests", **PLACEHOLDERS}
    open_ends = [f"{word} stands for {meaning}" for word, meaning in meanings.items() if word in words]
    note = f" ({', '.join(open_ends)})" if open_ends else ""
    return f"Retraining{note}: {shlex.join(map(typed, words))}"


def after_unlearned_file(arguments: UnlearnArguments, data: str, file: Path) -> Words:
    """The audit of a file that was unlearned: with retrained networks, where the folder of its original lies near."""
    audit = free_name(arguments.out, "audit")
    near = original_of_file(arguments.original)
    if near is not None and near.provenance.is_repeatable:
        repeated = repeated_options(arguments.data.data_folder, None, near.architecture, stored=data)
        return ["audit", near.folder, file, "--references", str(ENOUGH_REFERENCES), "--out", audit, *repeated]
    stated: Words = ["--data", data, *repeated_options(arguments.data.data_folder)]
    return [
        "audit",
        arguments.original,
        file,
        "--out",
        audit,
        *stated,
        *division_words(arguments.division),
    ]


def after_audit(arguments: AuditArguments, measured: Audit) -> Words:
    """What the first verdict advises: more retrained networks, another attempt, or to ship."""
    original, data = arguments.networks[0], arguments.data
    verdict = measured.unlearned[0].verdict
    if verdict is None or verdict.next_step not in ("more references", "other settings"):
        return _shipping(arguments)
    if is_exported_file(original):
        near = original_of_file(original)
        repeated = repeated_options(
            data.data_folder,
            None,
            data.arch or (near.architecture if near else None),
            stored=data.data,
        )
    else:
        near = NearbyOriginal.of(original)
        repeated = repeated_options(data.data_folder, data.data, data.arch)
    if verdict.next_step == "more references":
        wanted = max(verdict.references_wanted or 0, ENOUGH_REFERENCES, verdict.references + 2)
        return _more_references(arguments, near, repeated, wanted)
    if near is None:
        return _again_in_file(arguments)
    # The default method, where another one was refused; a retrained network where that one was, or after a class.
    tried = [
        NETWORK_DOCUMENT.read(one / DOCUMENT_FILE).provenance.method
        for one in arguments.networks[1:]
        if one.is_dir()
    ]
    whole_class = "class_accuracy" in {one.name for one in verdict.comparisons}
    same_request: Words = [near.folder, "--forget", _same_request(_request(arguments)), "--out"]
    if DEFAULT not in tried and not whole_class:
        return ["unlearn", *same_request, free_name(arguments.out, "unlearned"), *repeated, DEFAULT]
    if arguments.retrained:
        return _exported(arguments, arguments.retrained[0], "retrained.onnx")
    retrained = free_name(arguments.out, "retrained")
    return ["retrain", *same_request, retrained, *way_to_retrain(near.provenance), *repeated]


def _more_references(
    arguments: AuditArguments, near: NearbyOriginal | None, repeated: Words, wanted: int
) -> Words:
    """The same audit with more retrained networks, or what trains one of them where only the user can do that."""
    kept: Words = ["--retrained", *arguments.retrained] if arguments.retrained else []
    audit = free_name(arguments.out, "audit")
    if near is None:
        stated: Words = ["--data", arguments.data.data or "DATA"]
        stated += [*repeated_options(arguments.data.data_folder), *division_words(arguments.division)]
        named: Words = ["--retrained", *arguments.retrained]
        named += ["FILE"] * max(1, wanted - len(arguments.retrained))
        return ["audit", *arguments.networks, *named, "--out", audit, *stated]
    if near.provenance.is_repeatable:
        networks = [near.folder, *arguments.networks[1:]]
        return ["audit", *networks, *kept, "--references", str(wanted), "--out", audit, *repeated]
    retrained = free_name(arguments.out, "retrained")
    known = [
        NETWORK_DOCUMENT.read(folder / DOCUMENT_FILE).provenance
        for folder in arguments.retrained
        if folder.is_dir()
    ]
    words: Words = ["retrain", near.folder, "--forget", _same_request(_request(arguments))]
    way = list(way_to_retrain(near.provenance))
    words += [*way[:1], next(filter(None, map(_own_training, known)), way[1])]
    seed = max((one.seed for one in known), default=0) + 1
    return [*words, "--seed", str(seed), "--out", retrained, *repeated]


def _own_training(provenance: Provenance) -> str | None:
    """The user's function that trained a network, as module:function."""
    loaded = provenance.loaded
    return loaded.source if loaded is not None and loaded.trained_by_call else None


def _again_in_file(arguments: AuditArguments) -> Words:
    """Unlearn an original file once more, with more steps."""
    data = arguments.data
    words: Words = ["unlearn", arguments.networks[0], "--forget", _same_request(_request(arguments)), "--out"]
    words += [free_name(arguments.out, "unlearned"), "--data", data.data or "DATA"]
    words += [*repeated_options(data.data_folder), *division_words(arguments.division)]
    return [*words, "calibrated", "--epochs", "20"]


def _shipping(arguments: AuditArguments) -> Words:
    """Export the network that unlearned, or make the patch to its file."""
    return _exported(arguments, arguments.networks[1], "unlearned.onnx")


def _exported(arguments: AuditArguments, network: Path, name: str) -> Words:
    """Export a network under a free name; of a file, which is exported already, make the patch."""
    if not is_exported_file(network):
        file = free_name(arguments.out, name)
        return ["export", network, "--out", file, *repeated_options(None, architecture=arguments.data.arch)]
    original = arguments.networks[0]
    before = original if is_exported_file(original) else file_before(network)
    return [] if before is None else patching_command(arguments.out, before, network)


def _request(arguments: AuditArguments) -> Path:
    """The request of the first network that unlearned."""
    return arguments.request or _folder_of(arguments.networks[1]) / REQUEST_FILE


def _folder_of(network: Path) -> Path:
    """Where a network or an exported file has its request."""
    return network.parent if is_exported_file(network) else network


def _same_request(file: Path) -> str:
    """The selector of a request; the original must forget those before it, too."""
    with suppress(ObliqError):
        if load_request(file).earlier:
            return f"requests={file}"
    return f"request={file}"


def _network_in(folder: Path) -> Path | None:
    """The network in the folder of a request: the folder itself, or the file that was unlearned into it."""
    return folder if (folder / DOCUMENT_FILE).exists() else unlearned_file(folder)
