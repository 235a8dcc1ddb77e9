"""What a saved network records besides its values: its form, to build it again, and how it came about."""

import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version

import torch
from torch import nn

from obliq.data import PartitionRule
from obliq.data.datasets import data_label
from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.io.sha256 import is_sha256
from obliq.io.strict_json import OMITTED_BY_DEFAULT, SettingValue
from obliq.models import build_model
from obliq.models.architectures import is_import_path, require_module
from obliq.quantization import LayerBits, Precision, quantize, without_foreign_quantizers

ROLES = ("original", "retrained", "unlearned")


@dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """Where the weights of a network come from that Obliq did not draw, and what became of its accuracy.

    Attributes:
        source: name of the file without its folder, or the function that returned or trained the network.
        digest: SHA-256 of the file, or of the weights.
        fine_tuning: fields of the recipe of quantization-aware fine-tuning; None without it.
        accuracy: in percent, by stage (`FP32`, or `as it came` with quantizers of another tool; then the precision,
            then `fine-tuned`) and part.
        trained_by_call: whether Obliq called the function that trained it, so that the time is known.
    """

    source: str
    digest: str
    fine_tuning: dict[str, SettingValue] | None = None
    accuracy: dict[str, dict[str, float]] = field(default_factory=dict)
    trained_by_call: bool = False

    def __post_init__(self) -> None:
        require_digest("digest of the weights", self.digest)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What `obliq.workflow.gate` measured on an unlearned network.

    Attributes:
        before: accuracy of the original in percent, on `retain` and `holdout` samples of what remains.
        after: the same of the unlearned network.
        distance: mean distance of the forget set's confidence from its targets, 0 to 1; None where the method has
            no targets.
        failures: why the network failed, one sentence each; none when it passed.
        accepted: whether the operator accepted the failures.
        start: accuracy of the network before all requests, as far as its gate measured it; empty for the first request.
    """

    before: dict[str, float]
    after: dict[str, float]
    distance: float | None = None
    failures: tuple[str, ...] = ()
    accepted: bool = False
    start: dict[str, float] = field(default_factory=dict, metadata=OMITTED_BY_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class EarlierRequest:
    """One request that was answered before the newest, without who it was about and how many samples it named.

    Attributes:
        request: its keyed digest.
        parts: the keyed digests of the requests that were joined to it; empty for a single one.
        method: the registered name of the method.
        base_digest: the weights digest of the network that the method started from. The result is the base of the next
            request.
    """

    request: str
    parts: tuple[str, ...] = field(default=(), metadata=OMITTED_BY_DEFAULT)
    method: str
    base_digest: str

    def __post_init__(self) -> None:
        for name, digest in (("request", self.request), ("base_digest", self.base_digest)):
            require_digest(name, digest)
        for digest in self.parts:
            require_digest("parts", digest)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a network came about. It outlives a request, so it holds only counts and digests of the request.

    Attributes:
        role: `original`, `retrained` or `unlearned`.
        data: the name of a built-in data set, or a label for one's own. Where those lie is in a file that never ships,
            see `obliq.checkpoints.folder`.
        rule: how the data set was divided before training.
        partition_digest: of the data set and its division. Whoever has the data can compute it, too.
        splits_digest: the commitment to a request, keyed by a salt that is not here; None where
            nothing was forgotten.
        counts: the number of samples in each part, as far as there is one. Files hold none that tells how many samples
            were forgotten, since few samples can identify a person.
        recipe: the fields of the training recipe, None when the network was not trained by one of ours.
        method: the registered name of the unlearning method, None for ordinary training.
        method_fields: its hyper-parameters.
        base_digest: the weights digest of the network that the method started from.
        seconds: wall time of the training or unlearning; that of the last process, where one before it was interrupted.
        seed: of every random draw.
        threads: how many the computation used; results with another number differ by rounding.
        versions: of the packages that were used.
        loaded: the weights that were loaded; None where they were drawn. Without a recipe, the network was trained
            elsewhere.
        inputs: how samples are scaled and what classes are called; None for networks from before this was recorded.
        accuracy: in percent. Of an original: on `training` samples in the last epoch and on `test` samples. Of an
            original file that was unlearned: on `retain` and `holdout` samples. Of always answering with the
            `most frequent class` of the last of these.
        gate: how an unlearned network compares with its original; None for other networks.
        earlier: the requests that were answered before this one, oldest first.
        parts: the keyed digests of the requests that were joined to this one; empty for a single one.
    """

    role: str
    data: str
    rule: PartitionRule
    partition_digest: str
    splits_digest: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    recipe: dict[str, SettingValue] | None = None
    method: str | None = None
    method_fields: dict[str, SettingValue] | None = None
    base_digest: str | None = None
    seconds: float = 0.0
    seed: int = 0
    threads: int = 1
    versions: dict[str, str] = field(default_factory=lambda: present_versions())
    loaded: LoadedWeights | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    inputs: InputContract | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    accuracy: dict[str, float] = field(default_factory=dict, metadata=OMITTED_BY_DEFAULT)
    gate: Gate | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    earlier: tuple[EarlierRequest, ...] = field(default=(), metadata=OMITTED_BY_DEFAULT)
    parts: tuple[str, ...] = field(default=(), metadata=OMITTED_BY_DEFAULT)

    @property
    def original_digest(self) -> str | None:
        """The weights digest of the network before all requests; None for an original."""
        return self.earlier[0].base_digest if self.earlier else self.base_digest

    @property
    def records_newest(self) -> bool:
        """Whether the newest request is known; a patch does not carry it."""
        return self.role == "original" or self.splits_digest is not None

    @property
    def forgotten_so_far(self) -> tuple[EarlierRequest, ...]:
        """Every request that the network answers, oldest first, as far as known; empty for an original."""
        if self.splits_digest is None or self.base_digest is None:
            return self.earlier
        newest = EarlierRequest(
            request=self.splits_digest,
            parts=self.parts,
            method=self.method or "unknown",
            base_digest=self.base_digest,
        )
        return (*self.earlier, newest)

    @property
    def is_repeatable(self) -> bool:
        """Whether Obliq can train it again: by a recipe, from weights that it drew."""
        return self.recipe is not None and self.loaded is None

    @property
    def training_seconds(self) -> float | None:
        """Wall time of the training or unlearning; None for a network that was trained elsewhere."""
        elsewhere = self.recipe is None and self.loaded is not None and not self.loaded.trained_by_call
        return None if elsewhere else self.seconds

    def as_saved(self) -> "Provenance":
        """What files hold: not the size of the request, and no path."""
        kept = {name: count for name, count in self.counts.items() if name not in ("forget", "retain")}
        return replace(self, counts=kept, data=data_label(self.data))

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ModelError(f"role {self.role!r}; expected {', '.join(ROLES)}")
        for name in ("partition_digest", "splits_digest", "base_digest"):
            digest = getattr(self, name)
            if digest is not None:
                require_digest(name, digest)
        for digest in self.parts:
            require_digest("parts", digest)
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
    if not is_sha256(digest):
        raise ModelError(f"{name} is {digest[:80]!r}; expected 64 hexadecimal digits")


def present_versions() -> dict[str, str]:
    """The versions of this package, of PyTorch and of Python in this process."""
    return {"obliq": version("obliq"), "torch": str(torch.__version__), "python": platform.python_version()}


Builder = Callable[[tuple[int, ...], int], nn.Module]
"""A function from (input_shape, classes) to a float network."""


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """The form of a network.

    Attributes:
        architecture: a built-in name, or `module:function` for a network of the user's.
        input_shape: the shape of one input, channels first.
        classes: the number of logits.
        precision: bit widths of weights and activations, or FP32.
        preset: `deploy` or `paper`, see `quantize`.
        edge_bits: bit width of the first and last layer.
        weight_grid: `per_channel` or `per_tensor`.
        layer_bits: precision of single layers, by module path.
    """

    architecture: str
    input_shape: tuple[int, ...]
    classes: int
    precision: Precision = field(default_factory=lambda: Precision(4, 4))
    preset: str = "deploy"
    edge_bits: int = 8
    weight_grid: str = "per_channel"
    layer_bits: LayerBits = field(default=LayerBits(), metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        if not 1 <= len(self.input_shape) <= 8 or not all(1 <= size <= 2**24 for size in self.input_shape):
            raise ModelError(f"input shape {self.input_shape}; expected 1 to 8 sizes from 1 to {2**24}")
        if not 2 <= self.classes <= 2**24:
            raise ModelError(f"{self.classes} classes; expected 2 to {2**24}")

    @property
    def bits(self) -> str:
        """The precision in words, with that of single layers."""
        return f"{self.precision}, {self.layer_bits}" if self.layer_bits.entries else str(self.precision)

    @property
    def is_user_code(self) -> bool:
        """Whether building it runs code of the user's."""
        return is_import_path(self.architecture)

    def build(self, function: Builder | None = None) -> nn.Module:
        """A new network of this form, quantized unless the precision is FP32.

        Quantizers of Brevitas and torch.ao are taken out of a network of the user's; see `foreign_quantizers`.

        Args:
            function: creates the float network; when left out, `architecture` names it. A module of the user's is
                imported and run, so leave it out only for a name that you trust.

        Returns:
            A graph with random weights; `initialise` draws them from a seed. The global random state does not
            change.

        Raises:
            ModelError: when there is no such architecture, or it cannot be quantized in this way.
        """
        with torch.random.fork_rng(devices=[]):
            if function is None:
                model = build_model(self.architecture, self.input_shape, self.classes)
            else:
                model = require_module(function(self.input_shape, self.classes), self.architecture)
        return quantize(
            without_foreign_quantizers(model),
            self.precision,
            edge_bits=self.edge_bits,
            weight_grid=self.weight_grid,
            preset=self.preset,
            layer_bits=self.layer_bits,
            input_shape=self.input_shape,
            # the tests verify the built-in networks; a file that names one must not start a computation
            verify=function is not None or self.is_user_code,
        )

    def outline(self) -> nn.Module:
        """A built-in network of this form that has the shapes of its tensors, but no memory for them."""
        with torch.device("meta"):
            return self.build()
