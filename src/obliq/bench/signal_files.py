"""The answers of a network as one file, and from it the signals in every role of a request."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor, nn

from obliq.audit import RoleSignals, Signals, signals
from obliq.checkpoints.tensors import Form, from_bytes, to_bytes
from obliq.data import Examples

FILE = "signals.safetensors"


def ask(model: nn.Module, parts: Mapping[str, Examples], device: torch.device) -> dict[str, Signals]:
    """Ask a network once about every sample of every part."""
    return {name: signals(model, part, device) for name, part in parts.items()}


def write(folder: Path, answers: Mapping[str, Signals]) -> None:
    """Put the answers into a folder."""
    (folder / FILE).write_bytes(to_bytes({name: part.logits for name, part in answers.items()}))


def read(content: bytes, parts: Mapping[str, Examples]) -> dict[str, Signals]:
    """The answers in what `write` wrote.

    Raises:
        ObliqError: when they are not answers to these samples.
    """
    forms = {name: Form(torch.float32, (len(part), part.collection.classes)) for name, part in parts.items()}
    logits = from_bytes(content, forms)
    return {name: Signals(logits[name], part.labels) for name, part in parts.items()}


def in_roles(answers: Mapping[str, Signals], train: Examples, forget: Int[Tensor, " forget"]) -> RoleSignals:
    """The answers by role; where there are none to the test part, the holdout part stands in for it."""
    asked = torch.isin(train.indices, forget).numpy()
    return RoleSignals(
        forget=answers["train"].where(asked), retain=answers["train"].where(~asked),
        holdout=answers["holdout"], test=answers.get("test", answers["holdout"]),
    )  # fmt: skip
