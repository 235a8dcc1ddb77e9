"""The changed integers of a network as a small file: see docs/patch-format.md."""

from obliq.patch.content import (
    Content,
    TensorRecord,
    content_digest,
    from_device_image,
    network_content,
    network_state,
    to_device_image,
)
from obliq.patch.difference import LARGEST_PATCH, LEAK, PatchHead, apply_patch, make_patch, read_patch_head

__all__ = [
    "LARGEST_PATCH",
    "LEAK",
    "Content",
    "PatchHead",
    "TensorRecord",
    "apply_patch",
    "content_digest",
    "from_device_image",
    "make_patch",
    "network_content",
    "network_state",
    "read_patch_head",
    "to_device_image",
]
