"""The changed integers of a network as a small file: see docs/patch-format.md."""

from obliq.patch.content import Content, Record, content_of, digest_of, from_image, state_of, to_image
from obliq.patch.difference import LARGEST_PATCH, LEAK, Head, apply, describe, make

__all__ = [
    "LARGEST_PATCH",
    "LEAK",
    "Content",
    "Head",
    "Record",
    "apply",
    "content_of",
    "describe",
    "digest_of",
    "from_image",
    "make",
    "state_of",
    "to_image",
]
