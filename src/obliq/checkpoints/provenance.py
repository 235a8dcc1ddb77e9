"""How a network came about: enough to make it again, and nothing about who asked to be forgotten."""

import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import version

import torch

from obliq.data import PartitionRule
from obliq.documents import Setting
from obliq.errors import ModelError

ROLES = ("original", "retrained", "unlearned")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a network was made. It outlives a request, so it holds counts and digests of it only.

    Attributes:
        role: `original`, `retrained` or `unlearned`.
        data: the words that load the data set again.
        rule: how the data set was divided before training.
        partition_digest: of the data set and its division; not personal.
        splits_digest: the commitment to a request, keyed by a salt that is not here; None where
            nothing was forgotten.
        counts: the number of samples in each part, as far as there is one.
        recipe: the fields of the training recipe, None when the network was not trained by one.
        method: the registered name of the method that made it, None for ordinary training.
        method_fields: its hyper-parameters.
        base_digest: the weights digest of the network that the method started from.
        seconds: wall time of the making.
        seed: decided every random draw.
        threads: how many the computation used; another count rounds differently.
        versions: of the packages that made it.
    """

    role: str
    data: str
    rule: PartitionRule
    partition_digest: str
    splits_digest: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    recipe: dict[str, Setting] | None = None
    method: str | None = None
    method_fields: dict[str, Setting] | None = None
    base_digest: str | None = None
    seconds: float = 0.0
    seed: int = 0
    threads: int = 1
    versions: dict[str, str] = field(default_factory=lambda: present_versions())

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ModelError(f"role {self.role!r}; expected {', '.join(ROLES)}")
        for name in ("partition_digest", "splits_digest", "base_digest"):
            digest = getattr(self, name)
            if digest is not None:
                require_digest(name, digest)
        if not self.seconds >= 0 or not self.threads >= 1:
            raise ModelError(
                f"seconds={self.seconds}, threads={self.threads}; expected 0 or more and 1 or more"
            )
        if unknown := sorted(set(self.counts) - {"train", "forget", "retain", "holdout", "test"}):
            raise ModelError(
                f"a count of {unknown[0]!r}; expected counts of train, forget, retain, holdout, test"
            )


def require_digest(name: str, digest: str) -> None:
    """Raise unless `digest` is SHA-256 in hexadecimal.

    Raises:
        ModelError: naming the field.
    """
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ModelError(f"{name} is {digest[:80]!r}; expected 64 hexadecimal digits")


def present_versions() -> dict[str, str]:
    """The versions of this package, PyTorch and Python that are running."""
    return {"obliq": version("obliq"), "torch": str(torch.__version__), "python": platform.python_version()}
