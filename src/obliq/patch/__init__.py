"""The changed integers of a network as a small file: see docs/patch-format.md."""

from obliq.patch.bound import PatchBound, patch_bound
from obliq.patch.content import (
    Content,
    TensorRecord,
    content_digest,
    from_device_image,
    network_content,
    network_state,
    to_device_image,
)
from obliq.patch.difference import (
    LARGEST_PATCH,
    LEAK_WARNING,
    PatchHead,
    decode_patch,
    encode_patch,
    read_patch_file,
    read_patch_head,
)

__all__ = [
    "LARGEST_PATCH",
    "LEAK_WARNING",
    "Content",
    "PatchBound",
    "PatchHead",
    "TensorRecord",
    "content_digest",
    "decode_patch",
    "encode_patch",
    "from_device_image",
    "network_content",
    "network_state",
    "patch_bound",
    "read_patch_file",
    "read_patch_head",
    "to_device_image",
]
