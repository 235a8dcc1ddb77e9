"""Whether an exported file answers as the network does: measured on real inputs, in numbers.

Logits are compared with three references: the network as trained, the same network with the biases
that the device adds (see `obliq.exporting.device_biases`), and the integer interpreter. Activations are compared
code by code with the interpreter's: the file's where it has them as bytes, and the deployed network's,
once in PyTorch's own float sums and once in the device's arithmetic (`obliq.exporting.torch_interpreter`).
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting import interpreter
from obliq.exporting.device_biases import largest_bias_rounding, with_integer_biases
from obliq.exporting.files import own_file, parse_exported
from obliq.exporting.from_network import graph_of
from obliq.exporting.torch_interpreter import exact, observed

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How close one set of logits is to a reference.

    Attributes:
        same_top1: share of samples, 0 to 1, with the same largest logit.
        largest_difference: of any logit, in standard deviations of all reference logits.
        mean_difference: of all logits, in the same unit.
    """

    same_top1: float
    largest_difference: float
    mean_difference: float


@dataclass(frozen=True, kw_only=True)
class CodeAgreement:
    """How close integer activations are to the interpreter's.

    Attributes:
        compared: codes that were compared: 0 where there are none, as in the `float` form; only the last ones of an
            ExecuTorch file, which keeps the others to itself.
        equal: share of them that are equal, 0 to 1; 1 when there are none.
        largest_step: the most that one of them is off by.
    """

    compared: int
    equal: float
    largest_step: int


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What was found for one file.

    Attributes:
        samples: number of inputs.
        runtime: name and version of what ran the file.
        network: agreement of the file with the network as given, in its own arithmetic.
        deployed_network: agreement with the network that adds the device's biases.
        reference: agreement with the integer interpreter.
        activations: the file's integer activations against the interpreter's.
        deployed_activations: the same for the deployed network in PyTorch, as a plain audit sees it.
        exact_activations: the same for the deployed network in PyTorch once it adds and rounds as a device does.
        largest_bias_rounding: the most that rounding a bias moves a layer's output, in output steps;
            about 0 for a network that is deployed already.
    """

    samples: int
    runtime: str
    network: Agreement
    deployed_network: Agreement
    reference: Agreement
    activations: CodeAgreement
    deployed_activations: CodeAgreement
    exact_activations: CodeAgreement
    largest_bias_rounding: float


def check(model: nn.Module, file: bytes, inputs: Float[Tensor, "samples ..."]) -> Parity:
    """Run a file, the network that it was exported from and the interpreter on the same inputs.

    Args:
        model: a quantized network; read in evaluation mode and left as it was.
        file: what it was exported to. No runtime sees it before it was read as strictly as for
            an audit, which for a program takes as long as exporting it.
        inputs: standardised as for the network; at least one.

    Raises:
        ModelError: when there are no inputs, the file's runtime is not installed, the file is for another
            network, or it is anything but what our exporter writes.
    """
    if len(inputs) == 0:
        raise ModelError("no inputs to compare on; expected at least one")
    graph = graph_of(model, tuple(inputs.shape[1:]))
    runtime, probe = own_file(parse_exported(file)).probe(file, graph)
    deployed = with_integer_biases(model, graph)
    whole = exact(deployed, graph.input_shape)
    logits: dict[str, list[ndarray]] = {"file": [], "network": [], "deployed": [], "reference": []}
    of_file, of_network, of_whole = Counter[int](), Counter[int](), Counter[int]()
    for batch in torch.split(inputs.cpu().float(), _BATCH):
        answer, found = probe(batch.numpy())
        expected = interpreter.run(graph, batch.numpy())
        for name, codes in found.items():
            _count(of_file, codes, expected[name])
        for name, whole_codes in whole.codes(batch).items():
            _count(of_whole, whole_codes.int().numpy(), expected[name])
        in_torch, seen = observed(deployed, batch)
        for name, codes in seen.items():
            _count(of_network, codes, expected[name])
        logits["file"].append(answer)
        logits["network"].append(observed(model, batch)[0])
        logits["deployed"].append(in_torch)
        logits["reference"].append(interpreter.logits(graph, expected))
    joined = {name: np.concatenate(parts) for name, parts in logits.items()}
    return Parity(
        samples=len(inputs),
        runtime=runtime,
        network=agreement(joined["file"], joined["network"]),
        deployed_network=agreement(joined["file"], joined["deployed"]),
        reference=agreement(joined["file"], joined["reference"]),
        activations=_agreement(of_file),
        deployed_activations=_agreement(of_network),
        exact_activations=_agreement(of_whole),
        largest_bias_rounding=largest_bias_rounding(graph),
    )


def _count(steps_apart: Counter[int], found: ndarray, expected: ndarray) -> None:
    """Add how far codes are apart; a mean that drops axes leaves their order as it is."""
    apart = np.abs(found.reshape(-1) - expected.reshape(-1))
    steps_apart.update(dict(enumerate(np.bincount(apart).tolist())))


def _agreement(steps_apart: Counter[int]) -> CodeAgreement:
    compared = steps_apart.total()
    return CodeAgreement(
        compared=compared,
        equal=steps_apart[0] / compared if compared else 1.0,
        largest_step=max((step for step, count in steps_apart.items() if count), default=0),
    )


def agreement(
    found: Float32[ndarray, "samples classes"], expected: Float32[ndarray, "samples classes"]
) -> Agreement:
    """Compare two sets of logits for the same samples.

    Raises:
        ModelError: when they do not have the same shape.
    """
    if found.shape != expected.shape:
        raise ModelError(f"the file gives logits of shape {found.shape}; expected {expected.shape}")
    spread = float(expected.std()) or 1.0
    difference = np.abs(found.astype(np.float64) - expected) / spread
    return Agreement(
        same_top1=float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
    )
