"""A network as a folder, written whole or not at all, and read back with every part checked.

    model.safetensors   packed integer codes, scales, and the tensors that stay in floating point
    model.json          form of the network, bits of every tensor, how it was made, weights digest
    latent.safetensors  optional: the float weights that are rounded to the codes; for training on

Other files in the folder (a request, a record of the training) are ignored. Nothing here runs code
that a file names or brings along.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

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
from obliq.errors import ModelError, ObliqError
from obliq.io.atomic import new_folder
from obliq.io.json_documents import LARGEST_DOCUMENT, decode, parse_json, read_bytes, render_json
from obliq.quantization import (
    float_state,
    integer_state,
    latent_state,
    load_integer_state,
    load_latent,
    state_digest,
)

FORMAT, VERSION = "obliq-network", 1
TENSORS, DOCUMENT, LATENT = "model.safetensors", "model.json", "latent.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A network with its form and its history."""

    model: nn.Module = field(repr=False)
    blueprint: Blueprint
    provenance: Provenance


@dataclass(frozen=True, kw_only=True)
class NetworkDocument:
    """What model.json holds. A change that older readers would misread gets a new `version`."""

    format: str
    version: int
    blueprint: Blueprint
    quantization: dict[str, TensorGrid]
    provenance: Provenance
    weights_digest: str
    created: str | None

    def __post_init__(self) -> None:
        require_digest("weights_digest", self.weights_digest)


def save_checkpoint(
    folder: Path,
    saved: Checkpoint,
    *,
    latent: bool = True,
    overwrite: bool = False,
    created: str | None = None,
) -> None:
    """Write a network into a new folder that appears when it is complete.

    Args:
        folder: where.
        saved: the network; equal ones give equal bytes of model.safetensors.
        latent: whether to keep the float weights too, which further training starts from.
        overwrite: whether a folder that is there may be replaced, with all that is in it.
        created: a time stamp to note, as text.

    Raises:
        ModelError: when the network is not of the form that its blueprint says, or not finite.
        ObliqError: when the folder exists or cannot be written.
    """
    with new_folder(folder, overwrite=overwrite) as draft:
        write_checkpoint(draft, saved, latent=latent, created=created)


def write_checkpoint(
    folder: Path, saved: Checkpoint, *, latent: bool = True, created: str | None = None
) -> None:
    """Write the files of a network into a folder that is there, for instance beside a request's.

    Raises:
        ModelError: as `save`.
    """
    integers, floats = integer_state(saved.model), float_state(saved.model)
    stored = state_to_tensors(integers, floats)
    if not saved.blueprint.is_own_code:
        outline = saved.blueprint.outline()
        same_grids = tensor_grids(outline) == tensor_grids(saved.model)
        if not same_grids or tensor_forms(outline) != {
            name: tensor_form(value) for name, value in stored.items()
        }:
            raise ModelError(
                f"the network does not have the form of its {saved.blueprint}; expected one that does"
            )
    document = NetworkDocument(
        format=FORMAT, version=VERSION, blueprint=saved.blueprint, quantization=tensor_grids(saved.model),
        provenance=saved.provenance, weights_digest=state_digest(integers, floats), created=created,
    )  # fmt: skip
    with _naming("the network to save"):
        text = render_json(vars(document))
        decode(NetworkDocument, parse_json(text.encode()))  # what cannot be read back is not written
    (folder / TENSORS).write_bytes(tensors_to_bytes(stored))
    (folder / DOCUMENT).write_text(text, encoding="utf-8")
    if latent and (weights := latent_state(saved.model)):
        (folder / LATENT).write_bytes(tensors_to_bytes(weights))


def load_checkpoint(folder: Path, architecture: str | Builder | None = None) -> Checkpoint:
    """Read a network, checking everything; it is in evaluation mode, on the CPU.

    Args:
        folder: as `save` wrote it.
        architecture: needed when the network was built by code of the user's (`module:function`),
            which is never imported on a file's word alone: the function itself, or that text again.

    Raises:
        ModelError: in one line that names the file, the tensor, what was found and what was expected.
    """
    document = _document(folder / DOCUMENT)
    blueprint = document.blueprint
    with _naming(folder / DOCUMENT):
        own = _own_code(blueprint, architecture)
        shape = blueprint.build(own if callable(own) else None) if own else blueprint.outline()
        _compare(document.quantization, tensor_grids(shape))
    with _naming(folder / TENSORS):
        expected = tensor_forms(shape)
        stored = _tensors(folder / TENSORS, expected)
        integers, floats = state_from_tensors(stored, document.quantization)
        if state_digest(integers, floats) != document.weights_digest:
            raise ModelError(
                f"its content is not what {DOCUMENT} has the digest of; expected the file saved with it"
            )
        empty = shape if own else shape.to_empty(device="cpu")
        model = load_integer_state(empty, integers, floats)
    if (folder / LATENT).is_symlink() or (folder / LATENT).exists():
        with _naming(folder / LATENT):
            model = load_latent(model, _tensors(folder / LATENT, latent_tensor_forms(model)))
    return Checkpoint(model.eval(), blueprint, document.provenance)


def _document(file: Path) -> NetworkDocument:
    with _naming(file):
        values = parse_json(read_bytes(file, LARGEST_DOCUMENT))
        version = values.get("version")
        if values.get("format") != FORMAT or type(version) is not int or version < 1:
            raise ModelError(f"not a saved network; expected format {FORMAT!r} and a version")
        if version > VERSION:
            raise ModelError(f"made by a newer obliq (format version {version}); expected at most {VERSION}")
        return decode(NetworkDocument, values, "the file")


def _tensors(file: Path, expected: Mapping[str, TensorForm]) -> dict[str, Tensor]:
    largest = 8 + LARGEST_DOCUMENT + sum(form.size for form in expected.values())
    return tensors_from_bytes(read_bytes(file, largest), expected)


def _own_code(blueprint: Blueprint, given: str | Builder | None) -> str | Builder | None:
    """What builds the network when it is not a built-in one, with the caller's consent."""
    if not blueprint.is_own_code:
        if given is not None and given != blueprint.architecture:
            raise ModelError(f"its architecture is {blueprint.architecture!r}, but {given!r} was given")
        return None
    if given is None:
        raise ModelError(
            f"its architecture {blueprint.architecture!r} is code outside obliq, not run on a file's word; "
            f"expected architecture={blueprint.architecture!r} (or the function itself) if you trust it"
        )
    if isinstance(given, str) and given != blueprint.architecture:
        raise ModelError(f"its architecture is {blueprint.architecture!r}, but {given!r} was given")
    return given


def _compare(given: dict[str, TensorGrid], expected: dict[str, TensorGrid]) -> None:
    for name in sorted(set(given) | set(expected)):
        if given.get(name) != expected.get(name):
            raise ModelError(
                f"quantization of tensor {name[:200]!r} is {given.get(name)}; expected {expected.get(name)}"
            )


@contextlib.contextmanager
def _naming(file: object) -> Iterator[None]:
    try:
        yield
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error
