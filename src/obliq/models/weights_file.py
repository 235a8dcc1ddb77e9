"""Weights that were trained elsewhere: read from a file without running code of it, and loaded into a network.

A file is safetensors, or a state dict that `torch.save` wrote, which is read by torch's restricted reader.
"""

import dataclasses
import hashlib
import io
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from obliq.errors import ModelError, ObliqError
from obliq.io.budget import Budget
from obliq.io.regular_file import open_regular_file
from obliq.io.user_code import first_line
from obliq.io.visible_text import first_of
from obliq.models.weights_checks import check_header, check_saved

LARGEST = 8 * 2**30
"""Bytes of a file of weights."""
SAFETENSORS, TORCH = (".safetensors",), (".pt", ".pth", ".bin", ".ckpt")
WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
"""What DataParallel, torch.compile and classes around a network put before the names of its tensors."""
LONGEST_NAME = 1000
UNUSED = "num_batches_tracked"
"""A counter of batch norm that older files lack; it has no effect with a fixed momentum."""

OWN_STEPS = (".weight_step", ".step", ".calibrated")
"""How the names of learned steps end in a state dict of `obliq.quantize`."""
OTHER_QUANTIZERS = {
    "tensor_quant.scaling_impl": "Brevitas",
    "weight_fake_quant.": "torch.ao (QAT)",
    "activation_post_process": "torch.ao",
    "_packed_params": "torch.ao (converted)",
}
"""Parts of names in state dicts of other quantizers."""
PT2E = re.compile(r"activation_post_process_\d+\.")
"""How the names of quantizers begin in a graph that torchao's PT2E or torch.ao's FX mode prepared."""
PROGRAM = ".pt2"
"""The suffix of programs that `torch.export.save` writes."""
_BY_ONNX = (
    "its layers exist only as operations of a graph, which Obliq does not read; expected its integer ONNX file. Write "
    "it in Python: `torch.onnx.export(convert_pt2e(prepared), (samples[:2],), 'model.onnx', dynamo=True, "
    "external_data=False, dynamic_shapes=({0: torch.export.Dim('batch')},))`. Then run `obliq unlearn model.onnx "
    "--data SOURCE --forget class=0 --out unlearned`"
)


@dataclass(frozen=True)
class WeightsFile:
    """What a file of weights holds.

    Attributes:
        tensors: by name.
        digest: SHA-256 of the file.
        notes: what was chosen while it was read, in words.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def has_steps(self) -> bool:
        """Whether it is the state of a network of `obliq.quantize`, with the steps of its quantizers."""
        return any(name.endswith(OWN_STEPS[0]) for name in self.tensors)

    def without_steps(self) -> "WeightsFile":
        """The float weights alone, which training keeps behind the rounded ones."""
        kept = {name: value for name, value in self.tensors.items() if not name.endswith(OWN_STEPS)}
        return dataclasses.replace(self, tensors=kept)


def read_weights(file: Path) -> WeightsFile:
    """Read a file of weights.

    Args:
        file: `.safetensors`, or a state dict as `.pt`, `.pth`, `.bin` or `.ckpt`. A state dict may be one entry of a
            dictionary, as in checkpoints that hold an optimizer as well.

    Raises:
        ModelError: for another kind of file, a damaged one, one that holds more than tensors and plain values, and
            one with several state dicts.
    """
    if file.suffix == PROGRAM:
        raise ModelError(f"{file} is a program of torch.export: {_BY_ONNX}")
    if file.suffix not in SAFETENSORS + TORCH:
        raise ModelError(
            f"{file} ends in {file.suffix!r}; expected weights as {', '.join(SAFETENSORS + TORCH)}"
        )
    try:
        with open_regular_file(file.resolve(), LARGEST) as (opened, size):  # caches of downloads hold links
            budget = Budget(size, ModelError)
            if file.suffix in SAFETENSORS:
                check_header(opened, size, budget)
            else:
                check_saved(opened, size, budget)
            opened.seek(0)
            data = opened.read(size)
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error
    digest = hashlib.sha256(data).hexdigest()
    if file.suffix in SAFETENSORS:
        try:
            return WeightsFile(_plain(file, safetensors.torch.load(data)), digest)
        except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
            raise ModelError(f"{file}: {first_line(error)}; expected a whole safetensors file") from error
    try:
        held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{file} is damaged or holds more than tensors, and reading that would run code; expected a state dict "
            "(torch.save(network.state_dict(), FILE)), or a .safetensors file"
        ) from error
    except Exception as error:  # torch raises many kinds for damaged files
        raise ModelError(f"{file}: {first_line(error)}; expected a file that torch.save wrote") from error
    tensors, notes = _state_dict(file, held)
    return WeightsFile(_plain(file, tensors), digest, notes)


def _plain(file: Path, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors, which hold their values one by one in memory.

    Raises:
        ModelError: for sparse and nested tensors, those without values, and names that a line cannot show.
    """
    for name, tensor in tensors.items():
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise ModelError(
                f"{file} has a tensor called {name[:40]!r}...; expected names of at most {LONGEST_NAME} printable "
                "letters"
            )
        if tensor.is_nested or tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise ModelError(
                f"{file}: {name} is sparse, nested or without values; expected dense tensors (tensor.to_dense())"
            )
    return tensors


def _state_dict(file: Path, held: Any) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """The state dict in what torch read: the whole of it, or its only entry that is one."""
    if _is_state_dict(held):
        return held, ()
    entries = (
        [name for name, value in held.items() if _is_state_dict(value)] if isinstance(held, dict) else []
    )
    if len(entries) == 1:
        return held[entries[0]], (f"weights are the entry {entries[0]!r} of {file}",)
    found = f"the state dicts {', '.join(map(repr, entries))}" if entries else f"a {type(held).__name__}"
    raise ModelError(
        f"{file} holds {found}; expected one state dict (torch.save(network.state_dict(), FILE))"
    )


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(one, Tensor) for name, one in value.items())
    )


def load_weights(network: nn.Module, weights: WeightsFile, names: tuple[str, str]) -> tuple[str, ...]:
    """Load weights into a network, in place; every tensor of it gets a value.

    Args:
        network: of the form that the weights were trained in.
        weights: what the file holds. A prefix that every name has, and the network has not, is left out.
        names: what errors call the file and the network.

    Returns:
        What was changed on the way (a prefix, a narrower type), in words.

    Raises:
        ModelError: naming missing and unexpected tensors, and those of another shape or type.
    """
    own = network.state_dict()
    tensors, notes = dict(weights.tensors), list(weights.notes)
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in tensors) and not any(
            name.startswith(prefix) for name in own
        ):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
            notes.append(f"names in {names[0]} were read without their prefix {prefix!r}")
    if any(map(PT2E.match, tensors)) and not any(map(PT2E.match, own)):
        raise ModelError(f"{names[0]} is a state dict of a network that PT2E prepared: {_BY_ONNX}")
    for part, tool in OTHER_QUANTIZERS.items():
        if any(part in name for name in tensors) and not any(part in name for name in own):
            raise ModelError(
                f"{names[0]} is a quantization-aware state dict of {tool}, which records neither bits nor which values "
                f"are rounded; expected --arch module:function that returns the network with its quantizers of {tool}, "
                f"its float weights alone (with --fine-tune), or the integer ONNX file (QDQ) that {tool} exports: "
                "`obliq unlearn FILE.onnx` works in such files"
            )
    problems = _problems(own, tensors)
    if problems:
        raise ModelError(
            f"{names[0]} does not fit {names[1]}: {'; '.join(problems)}; expected the state dict of this network"
        )
    narrow = sorted(
        {str(value.dtype).removeprefix("torch.") for value in tensors.values() if _is_narrow(value)}
    )
    if narrow:
        notes.append(f"weights were read from {', '.join(narrow)} as float32")
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)
    return tuple(notes)


def load_state(network: nn.Module, weights: WeightsFile, names: tuple[str, str]) -> tuple[str, ...]:
    """As `load_weights`, by the network's own `load_state_dict`: quantizers of other tools keep more than tensors.

    Raises:
        ModelError: when the two do not fit, and for values that are not finite.
    """
    try:
        network.load_state_dict(dict(weights.tensors), strict=True)
    except Exception as error:  # the modules are those of another tool
        raise ModelError(
            f"{names[0]} does not fit {names[1]}: {' '.join(str(error).split())[:300]}; expected the state dict of "
            "this network, with its quantizers"
        ) from error
    infinite = [name for name, value in network.named_parameters() if not bool(torch.isfinite(value).all())]
    if infinite:
        raise ModelError(
            f"{names[0]}: {'; '.join(_listed('NaN or infinite', infinite))}; expected finite weights"
        )
    return weights.notes


def _is_narrow(value: Tensor) -> bool:
    return value.is_floating_point() and value.dtype != torch.float32


def _problems(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    """What keeps a file from fitting a network, in words."""
    missing = [name for name in own if name not in tensors and not name.endswith(UNUSED)]
    unexpected = [name for name in tensors if name not in own]
    shared = [name for name in own if name in tensors]
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(own[name].shape)}"
        for name in shared
        if tensors[name].shape != own[name].shape
    ]
    kinds = [
        f"{name} {str(tensors[name].dtype).removeprefix('torch.')}"
        for name in shared
        if tensors[name].is_floating_point() != own[name].is_floating_point()
    ]
    # only what has the right shape: a file of a few bytes can hold one number as a tensor of any size
    fitting = [name for name in shared if tensors[name].shape == own[name].shape]
    floats = {name: tensors[name].float() for name in fitting if tensors[name].is_floating_point()}
    infinite = [name for name, value in floats.items() if not bool(torch.isfinite(value).all())]
    negative = [
        name for name, value in floats.items() if name.endswith("running_var") and bool((value < 0).any())
    ]
    return [
        *_listed("missing", missing),
        *_listed("unexpected", unexpected),
        *_listed("of another shape", shapes),
        *_listed("of another type", kinds),
        *_listed("NaN or infinite", infinite),
        *_listed("negative variances", negative),
    ]


def _listed(what: str, names: Sequence[str], most: int = 3) -> Iterable[str]:
    """A kind of problem with the first few tensors that have it."""
    if names:
        yield f"{len(names)} {what} ({first_of(names, most)})"
