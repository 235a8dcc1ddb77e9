"""Applying a patch to a network's content, through the reference decoder."""

from obliq.patch.content import Content, from_image, refusals, to_image
from obliq.patch.decoder import apply as apply_to_image

NO_FLOOR = 0


def apply(patch: bytes, base: Content, floor: int = NO_FLOOR) -> Content:
    """What a patch makes of a network, whose digest is then the one that the patch promises.

    Args:
        patch: the bytes of the file.
        base: the network that it was made for; left as it is.
        floor: the sequence number of the newest network that was confirmed; the patch's must be larger.

    Raises:
        PatchError: when the patch is cut off, altered, of a newer format, at or below the floor, for
            another network or another base, or does not lead to what it promises.
    """
    image = to_image(base)
    with refusals():
        result = apply_to_image(patch, image, floor)
    return from_image(result)
