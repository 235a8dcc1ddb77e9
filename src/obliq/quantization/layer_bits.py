"""Layers whose precision differs from that of their network, as text: `stem=W8A8,classifier=W8A8`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.errors import ModelError
from obliq.io.known_names import SIMILAR, nearest_names
from obliq.quantization.precision import Precision


@dataclass(frozen=True)
class LayerBits:
    """The precision of some layers by module path; a module stands for all layers in it.

    The bits of activations are those of what a layer reads. `LayerBits.parse` is the inverse of `str`.
    """

    entries: tuple[tuple[str, Precision], ...] = ()

    def __post_init__(self) -> None:
        for path, precision in self.entries:
            if precision.is_float:
                raise ModelError(f"{path}={precision}; expected bits from W2A2 to W8A8")
        paths = [path for path, _ in self.entries]
        if twice := next((path for path in paths if paths.count(path) > 1), None):
            raise ModelError(f"the layer {twice!r} has two precisions; expected one")

    def __str__(self) -> str:
        return ",".join(f"{path}={precision}" for path, precision in self.entries)

    @classmethod
    def parse(cls, text: str) -> "LayerBits":
        """Read `stem=W8A8,classifier=W8A8`; no layers for an empty text.

        Raises:
            ModelError: for any other text.
        """
        entries = [entry.partition("=") for entry in text.split(",")] if text.strip() else []
        if not all(path.strip() and equals for path, equals, _ in entries):
            raise ModelError(
                f"layer bits {text!r}; expected module paths with bits, like stem=W8A8,classifier=W8A8"
            )
        return cls(tuple((path.strip(), Precision.parse(bits)) for path, _, bits in entries))

    @classmethod
    def of(cls, given: "LayerBits | Mapping[str, Precision | str] | str | None") -> "LayerBits":
        """The same from a mapping or from text."""
        if isinstance(given, LayerBits):
            return given
        if given is None or isinstance(given, str):
            return cls.parse(given or "")
        return cls(
            tuple(
                (path, Precision.parse(bits) if isinstance(bits, str) else bits)
                for path, bits in given.items()
            )
        )

    def of_layers(self, layers: Sequence[str]) -> dict[str, Precision]:
        """The precision of each layer that has one of its own; the longest path that covers it decides.

        Args:
            layers: the module paths of all layers with weights.

        Raises:
            ModelError: for a path that covers no layer, with the nearest ones.
        """
        known = dict.fromkeys(
            ".".join(parts[:length])
            for parts in (layer.split(".") for layer in layers)
            for length in range(1, len(parts) + 1)
        )
        found: dict[str, Precision] = {}
        for path, precision in sorted(self.entries, key=lambda entry: len(entry[0])):
            if path not in known:
                near = nearest_names(path, known, SIMILAR) or list(known)[:3]
                raise ModelError(
                    f"there is no layer with weights at {path!r}; expected a module path such as {', '.join(near)}"
                )
            found |= {layer: precision for layer in layers if f"{layer}.".startswith(f"{path}.")}
        return found
