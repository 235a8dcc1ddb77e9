"""What ships: the file that devices run, how it agrees with the audited network, and the patch to it."""

from dataclasses import dataclass

from obliq.errors import ObliqError
from obliq.export import Parity


@dataclass(frozen=True, kw_only=True)
class PatchSize:
    """How much of the network on a device a patch replaces.

    Attributes:
        bytes: of the patch.
        codes: how many integer weights the network has.
        changed_codes: how many of them change.
        changed_words: how many scales, biases and other numbers change.
    """

    bytes: int
    codes: int
    changed_codes: int
    changed_words: int

    def __post_init__(self) -> None:
        if self.bytes <= 0 or not 0 <= self.changed_codes <= self.codes or self.changed_words < 0:
            raise ObliqError(f"{self}; expected a size above 0 and no more changed codes than there are")


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """One file that leaves for devices.

    Attributes:
        file: its name.
        form: what it is, in words.
        precision: of weights and activations, for instance `W4A4`.
        bytes: its size.
        content_digest: of the integers in it, independent of the container; what a patched device
            compares itself with (docs/patch-format.md).
        parity: how it answers beside the network that was audited; None when it was not run.
        patch: the patch that makes it of the original's file; None when there is none.
    """

    file: str
    form: str
    precision: str
    bytes: int
    content_digest: str
    parity: Parity | None = None
    patch: PatchSize | None = None

    def __post_init__(self) -> None:
        if self.bytes <= 0:
            raise ObliqError(f"{self.file} has {self.bytes} bytes; expected more than 0")

    @property
    def patch_share(self) -> float | None:
        """Bytes of the patch in percent of the whole file's."""
        return 100 * self.patch.bytes / self.bytes if self.patch else None
