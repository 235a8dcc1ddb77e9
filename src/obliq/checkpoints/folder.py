"""A network as a folder, written whole or not at all, and read back with every part checked.

    model.safetensors   packed integer codes, scales, and the tensors that stay in floating point
    model.json          form of the network, bits of every tensor, provenance, weights digest
    latent.safetensors  optional: the float weights that are rounded to the codes, for further training
    source.json         optional: where the data lie that the network was trained on; readable by its owner alone

The last two never ship.

Other files in the folder (a request, a trace of the training) are ignored. Loading runs no code that a file
names or contains.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor, nn

from obliq.checkpoints.file_record import unlearned_file
from obliq.checkpoints.metadata import Blueprint, Builder, Provenance, require_digest
from obliq.checkpoints.tensors import (
    TensorForm,
    TensorGrid,
    latent_tensor_forms,
    state_from_tensors,
    state_to_tensors,
    tensor_form,
    tensor_forms,
    tensor_grids,
    tensors_from_bytes,
    tensors_to_bytes,
)
from obliq.data.datasets import data_label
from obliq.errors import ModelError, ObliqError
from obliq.io.atomic import new_folder
from obliq.io.document_text import LARGEST_DOCUMENT
from obliq.io.documents import DocumentType
from obliq.io.regular_file import read_regular_file
from obliq.quantization import (
    float_state,
    integer_state,
    latent_state,
    load_integer_state,
    load_latent_state,
    state_digest,
)

TENSORS_FILE, DOCUMENT_FILE, LATENT_FILE = "model.safetensors", "model.json", "latent.safetensors"
SOURCE_FILE = "source.json"


@dataclass(frozen=True)
class Checkpoint:
    """A network with its form and its history.

    Attributes:
        model: the network.
        blueprint: its form.
        provenance: how it came about.
        source: the name that loads its data again, where it is not `provenance.data`; None where it is not known.
    """

    model: nn.Module = field(repr=False)
    blueprint: Blueprint
    provenance: Provenance
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkDocument:
    """What model.json holds.

    Attributes:
        blueprint: the form of the network.
        quantization: the grid of each quantized tensor, by its name.
        provenance: how the network came about.
        weights_digest: SHA-256 of its integers and of what stays in floating point.
        created: when it was saved, in UTC and ISO 8601; None when not noted.
    """

    blueprint: Blueprint
    quantization: dict[str, TensorGrid]
    provenance: Provenance
    weights_digest: str
    created: str | None

    def __post_init__(self) -> None:
        require_digest("weights_digest", self.weights_digest)


@dataclass(frozen=True)
class DataSource:
    """What source.json holds: the name that `obliq.data.load_dataset` takes."""

    data: str


SOURCE_DOCUMENT = DocumentType(
    content=DataSource, format="obliq-source", version=1, title="source", error=ModelError
)

NETWORK_DOCUMENT = DocumentType(
    content=NetworkDocument, format="obliq-network", version=2, oldest=1, title="network", error=ModelError
)
"""Version 1 had the name of the data where version 2 has a label, and how many samples were forgotten."""


def save_checkpoint(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    latent: bool = True,
    overwrite: bool = False,
    created: str | None = None,
) -> None:
    """Write a network into a new folder that appears when it is complete.

    Args:
        folder: where.
        checkpoint: the network; equal ones give equal bytes of model.safetensors.
        latent: whether to save the float weights too, which further training starts from, and where the data lie; false
            for a network that ships.
        overwrite: whether a folder that is there may be replaced, with all that is in it.
        created: a time stamp to note, as text.

    Raises:
        ModelError: when the network is not finite or does not have the form of its blueprint.
        ObliqError: when the folder exists or cannot be written.
    """
    with new_folder(folder, overwrite=overwrite) as draft:
        write_checkpoint(draft, checkpoint, latent=latent, created=created)


def write_checkpoint(
    folder: Path, checkpoint: Checkpoint, *, latent: bool = True, created: str | None = None
) -> None:
    """Write the files of a network into an existing folder, for instance next to a request.

    Raises:
        ModelError: as `save_checkpoint`.
    """
    model, blueprint = checkpoint.model, checkpoint.blueprint
    integers, floats = integer_state(model), float_state(model)
    stored = state_to_tensors(integers, floats)
    if not blueprint.is_user_code:  # the form of a built-in network is known without running anything
        outline = blueprint.outline()
        same_grids = tensor_grids(outline) == tensor_grids(model)
        forms = {name: tensor_form(value) for name, value in stored.items()}
        if not same_grids or tensor_forms(outline) != forms:
            raise ModelError(f"the network does not have the form of its {blueprint}; expected one that does")
    document = NetworkDocument(
        blueprint=blueprint,
        quantization=tensor_grids(model),
        provenance=checkpoint.provenance.as_saved(),
        weights_digest=state_digest(integers, floats),
        created=created,
    )
    with _errors_name("the network to save"):
        text = NETWORK_DOCUMENT.to_text(document)
    (folder / TENSORS_FILE).write_bytes(tensors_to_bytes(stored))
    (folder / DOCUMENT_FILE).write_text(text, encoding="utf-8")
    if latent and (weights := latent_state(model)):
        (folder / LATENT_FILE).write_bytes(tensors_to_bytes(weights))
    if latent and checkpoint.source is not None:
        SOURCE_DOCUMENT.write(folder / SOURCE_FILE, DataSource(checkpoint.source), private=True)


def load_checkpoint(folder: Path, architecture: str | Builder | None = None) -> Checkpoint:
    """Read a network and check everything; it is in evaluation mode, on the CPU.

    Args:
        folder: as `save_checkpoint` wrote it.
        architecture: needed when code of the user's built the network (`module:function`): the function itself, or
            that text again. Such code is never imported only because a file names it.

    Raises:
        ModelError: in one line that names the file, the tensor, what was found and what was expected.
    """
    if not (folder / DOCUMENT_FILE).exists() and (file := unlearned_file(folder)) is not None:
        raise ModelError(f"{folder} holds a network as an exported file; expected that file, {file}")
    document = NETWORK_DOCUMENT.read(folder / DOCUMENT_FILE)
    blueprint = document.blueprint
    with _errors_name(folder / DOCUMENT_FILE):
        user_code = _trusted_user_code(blueprint, architecture)
        if user_code is None:
            shape = blueprint.outline()
        else:
            shape = blueprint.build(user_code if callable(user_code) else None)
        _require_same_grids(document.quantization, tensor_grids(shape), blueprint.architecture)
    with _errors_name(folder / TENSORS_FILE):
        stored = _read_tensors(folder / TENSORS_FILE, tensor_forms(shape))
        integers, floats = state_from_tensors(stored, document.quantization)
        if state_digest(integers, floats) != document.weights_digest:
            raise ModelError(
                f"its content does not have the digest that {DOCUMENT_FILE} states; expected the file saved with it"
            )
        empty = shape.to_empty(device="cpu") if user_code is None else shape
        model = load_integer_state(empty, integers, floats)
    latent = folder / LATENT_FILE
    if latent.is_symlink() or latent.exists():
        with _errors_name(latent):
            model = load_latent_state(model, _read_tensors(latent, latent_tensor_forms(model)))
    known, provenance = SOURCE_DOCUMENT.read_if_present(folder / SOURCE_FILE), document.provenance
    source = None if known is None else known.data
    if (label := data_label(provenance.data)) != provenance.data:  # as earlier versions wrote it
        source, provenance = source or provenance.data, replace(provenance, data=label)
    return Checkpoint(model.eval(), blueprint, provenance, source)


def _read_tensors(file: Path, expected: Mapping[str, TensorForm]) -> dict[str, Tensor]:
    largest = 8 + LARGEST_DOCUMENT + sum(form.size for form in expected.values())
    return tensors_from_bytes(read_regular_file(file, largest), expected)


def _trusted_user_code(blueprint: Blueprint, given: str | Builder | None) -> str | Builder | None:
    """What builds the network; None for a built-in one.

    Raises:
        ModelError: when code of the user's builds it and the caller has not named that code.
    """
    architecture = blueprint.architecture
    if blueprint.is_user_code and given is None:
        raise ModelError(
            f"its architecture {architecture!r} is code outside obliq, which is never imported only because a file "
            f"names it; expected --arch {architecture} (in Python architecture={architecture!r}, or the function "
            "itself) if you trust it"
        )
    if given is not None and given != architecture and not (blueprint.is_user_code and callable(given)):
        raise ModelError(f"its architecture is {architecture!r}, but {given!r} was given; expected the first")
    return given if blueprint.is_user_code else None


def _require_same_grids(
    given: dict[str, TensorGrid], expected: dict[str, TensorGrid], architecture: str
) -> None:
    """Raise unless the file describes the quantized tensors of the network that the architecture builds."""
    for name in sorted(set(given) | set(expected)):
        if given.get(name) != expected.get(name):
            raise ModelError(
                f"quantization of tensor {name[:200]!r}: the file has {_in_words(given.get(name))}, and the network "
                f"that {architecture} builds has {_in_words(expected.get(name))}; expected the same. Where your own "
                "code builds it, take the code that it was saved with"
            )


def _in_words(grid: TensorGrid | None) -> str:
    if grid is None:
        return "no such tensor"
    kind = "activations" if grid.shape is None else f"weights of shape {'x'.join(map(str, grid.shape))[:200]}"
    steps = "one step" if grid.channel_axis is None else f"steps along axis {grid.channel_axis}"
    sign = "signed" if grid.signed else "unsigned"
    return f"{kind} of {grid.bits} bits with {steps}, {sign}, zero at {grid.zero_point}"


@contextlib.contextmanager
def _errors_name(file: object) -> Iterator[None]:
    """Put a file in front of the message of every error."""
    try:
        yield
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error
