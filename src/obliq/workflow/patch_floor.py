"""The floor that `obliq patch apply` keeps beside a network, so that no patch brings an erased network back.

`NETWORK.floor` is a small JSON file with two facts: the highest sequence number that was applied on the way to the
network, and the digests of the networks before it. The file is not authenticated; a device keeps its floor where
nobody can lower it (`obliq.patch.device`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from obliq.checkpoints import Provenance
from obliq.checkpoints.metadata import require_digest
from obliq.errors import PatchError
from obliq.io.documents import DocumentType
from obliq.patch import PatchHead
from obliq.patch.difference import LAST_SEQUENCE, NO_FLOOR

FLOOR_SUFFIX = ".floor"


@dataclass(frozen=True)
class PatchFloor:
    """What is known of the way to a network.

    Attributes:
        floor: the highest sequence number that was applied; 0 for none.
        left: content digests of the networks before it, in the order of time.
    """

    floor: int = NO_FLOOR
    left: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not NO_FLOOR <= self.floor <= LAST_SEQUENCE:
            raise PatchError(f"floor {self.floor}; expected {NO_FLOOR} to {LAST_SEQUENCE}")
        for digest in self.left:
            require_digest("left", digest)

    def joined(self, other: "PatchFloor") -> "PatchFloor":
        """What both know."""
        return PatchFloor(max(self.floor, other.floor), tuple(dict.fromkeys(self.left + other.left)))

    def raised(self, head: PatchHead) -> "PatchFloor":
        """What is known after a patch was applied."""
        left = [digest for digest in (*self.left, head.base) if digest != head.result]
        return PatchFloor(max(self.floor, head.sequence), tuple(dict.fromkeys(left)))


FLOOR_DOCUMENT = DocumentType(
    content=PatchFloor, format="obliq-floor", version=1, title="floor", error=PatchError
)


def floor_file(network: Path) -> Path:
    """Where the floor of a network is kept."""
    return network.with_name(network.name + FLOOR_SUFFIX)


def kept_floor(networks: Iterable[Path], provenance: Provenance | None) -> PatchFloor | None:
    """What is kept beside networks; None where nothing is known.

    Args:
        networks: the old network, and the place of the new one.
        provenance: of the old network, which names the networks that it was unlearned from.

    Raises:
        PatchError: for a file that is no floor.
    """
    found = [FLOOR_DOCUMENT.read_if_present(floor_file(network)) for network in networks]
    if provenance is not None and provenance.base_digest and provenance.role == "unlearned":
        before = [entry.base_digest for entry in provenance.earlier]
        found.append(PatchFloor(left=tuple(dict.fromkeys([*before, provenance.base_digest]))))
    known = [one for one in found if one is not None]
    if not known:
        return None
    joined = PatchFloor()
    for one in known:
        joined = joined.joined(one)
    return joined


def require_as_forgetful(old: Provenance | None, new: Provenance | None, names: tuple[str, str]) -> None:
    """Refuse a patch to a network that does not answer every request which the old one is known to answer.

    Requests are compared by their keyed digests, those that were joined to one by each of them.

    Args:
        old: of the network that devices have; None where it has no record.
        new: of the network that they will have.
        names: of both, for the error.

    Raises:
        PatchError: when devices would get back what was forgotten.
    """
    answered = () if old is None else old.forgotten_so_far
    if new is None or not answered:
        return
    known = {digest for entry in new.forgotten_so_far for digest in (entry.request, *entry.parts)}
    lacking = [
        entry.request
        for entry in answered
        if entry.request not in known and not (entry.parts and known.issuperset(entry.parts))
    ]
    if lacking:
        raise PatchError(
            f"{names[0]} answers {len(answered):,} requests, and {names[1]} is not known to answer {len(lacking):,} "
            f"of them ({lacking[0][:12]}...), so that the patch would bring back what was forgotten. Expected a "
            "network for all of them (`obliq unlearn` from OLD, or with --forget requests=FILE), or --go-back"
        )


def require_forward(head: PatchHead, kept: PatchFloor, given: int | None) -> int:
    """The floor that a patch must exceed.

    Args:
        head: of the patch.
        kept: what is known of the old network.
        given: the floor that the user states; None for the kept one.

    Raises:
        PatchError: for a floor below the kept one, a patch that leads back, and a sequence number that would leave no
            higher one.
    """
    if given is not None and not NO_FLOOR <= given <= LAST_SEQUENCE:
        raise PatchError(f"floor {given}; expected {NO_FLOOR} to {LAST_SEQUENCE}")
    if given is not None and given < kept.floor:
        raise PatchError(
            f"the floor {given} is below the kept one, {kept.floor}; expected at least that, or --go-back"
        )
    if head.sequence > LAST_SEQUENCE:
        raise PatchError(
            f"patch refused: sequence {head.sequence}, which leaves no higher number for later patches; expected at "
            f"most {LAST_SEQUENCE}"
        )
    if head.result in kept.left:
        raise PatchError(
            f"patch refused: it leads back to network {head.result[:12]}..., which was left before; expected a patch "
            "to a new network, or --go-back"
        )
    return kept.floor if given is None else given
