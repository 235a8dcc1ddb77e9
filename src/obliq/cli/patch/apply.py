"""`obliq patch apply`: the new network from the old one and a patch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from obliq.cli.options import Architecture, File, Flag, OutputOptions, Overwrite
from obliq.cli.patch_files import clock, read_patch
from obliq.cli.verbs import StageListener, Verb, VerbOutput


@dataclass(frozen=True, kw_only=True)
class PatchApplyArguments:
    """Create the new network from the old one and a patch.

    Example: obliq patch apply runs/original forget.patch --out runs/patched

    The new network is written completely or not at all. A million changed integers take a few seconds.

    Attributes:
        old: The network that the patch was made from: a model folder or an exported file (.onnx or .pte).
        file: The patch.
        out: New file or folder for the new network. It is created when its digest is the one that the patch states.
        floor: The sequence number of the last confirmed patch. The number of this patch must be larger. By default the
            one in OLD.floor. The new floor is written to PATH.floor.
        go_back: Apply the patch although it leads to an earlier network, or --floor is below the kept floor.
        allow_expired: Apply the patch although it has expired.
        key_file: The 32 bytes that the patch was encrypted with, in a file that only you may read and write.
        allow_readable_key: Use a key although others may read or write its file.
        verify: Refuse the patch unless FILE.sig is its signature by this Ed25519 public key (PEM).
    """

    old: tyro.conf.Positional[Path]
    file: tyro.conf.Positional[Path]
    out: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    overwrite: Overwrite = False
    floor: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    go_back: Flag = False
    allow_expired: Flag = False
    key_file: File = None
    allow_readable_key: Flag = False
    verify: File = None
    arch: Architecture = None
    output: OutputOptions = field(default_factory=OutputOptions)


def run_patch_apply(arguments: PatchApplyArguments, progress: StageListener) -> VerbOutput:
    """Apply a patch to a network, all or nothing."""
    from obliq.checkpoints.file_record import provenance_of_content
    from obliq.io.atomic import refuse_existing_file
    from obliq.io.utc import utc_text
    from obliq.patch import decode_patch, read_patch_head
    from obliq.patch.expiry import require_unexpired
    from obliq.workflow.patch_floor import FLOOR_DOCUMENT, PatchFloor, floor_file, kept_floor, require_forward
    from obliq.workflow.patch_targets import Folder, find_artifact

    out = arguments.out
    patch = read_patch(
        arguments.file, arguments.key_file, arguments.verify, allow_others=arguments.allow_readable_key
    )
    head, now = read_patch_head(patch), clock()
    if not arguments.allow_expired:
        require_unexpired(head, now, "--allow-expired")
    old = find_artifact(arguments.old, arguments.arch)
    old.refuse_existing(out, overwrite=arguments.overwrite)
    refuse_existing_file(floor_file(out), overwrite=arguments.overwrite)
    known = kept_floor((arguments.old, out), old.provenance)
    kept = known or PatchFloor()
    floor = arguments.floor or 0
    if not arguments.go_back:
        floor = require_forward(head, kept, arguments.floor)
    result = decode_patch(patch, old.content, floor, None if arguments.allow_expired else now)
    raised = kept.raised(head)
    # the floor first: a network without one could be taken back
    FLOOR_DOCUMENT.write(floor_file(out), raised, overwrite=arguments.overwrite)
    try:
        if isinstance(old, Folder):
            old.write(result, out, overwrite=arguments.overwrite)
        else:
            recorded = provenance_of_content((arguments.old.parent, arguments.file.parent), head.result)
            old.write(result, out, overwrite=arguments.overwrite, known=recorded)
    except BaseException:
        if not out.exists():
            floor_file(out).unlink(missing_ok=True)
        raise
    warnings = []
    if arguments.verify is None:
        warnings.append("no signature was checked (--verify), so anybody can have made this patch")
    if known is None and arguments.floor is None:
        warnings.append(
            f"no floor is kept beside {arguments.old}, so any sequence number was accepted (--floor)"
        )
    if head.expires is not None and head.has_expired(now):
        warnings.append(f"the patch expired at {utc_text(head.expires)} (--allow-expired)")
    if arguments.go_back:
        warnings.append("the checks against older networks were switched off (--go-back)")
    return VerbOutput(
        lines=[
            f"patched network {head.result}",
            f"in {out}; the floor is now {raised.floor}, kept in {floor_file(out)}",
            *(f"WARNING: {warning}" for warning in warnings),
        ],
        values={
            "out": str(out),
            "weights_digest": head.result,
            "floor": raised.floor,
            "verified": arguments.verify is not None,
            "warnings": warnings,
        },
    )


APPLY = Verb(PatchApplyArguments, run_patch_apply)
