"""What can be typed after `obliq patch`: one dataclass an action, whose docstrings are the help."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from obliq.cli.circumstances import Circumstances, Network

File = Annotated[Path, tyro.conf.arg(metavar="FILE")]
KeyFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True, kw_only=True)
class PatchMake:
    """Write what turns one network into another: the changed integers.

    Example: obliq patch make runs/original runs/unlearned --out forget.patch

    Attributes:
        old: The network that devices hold: a model folder or an exported file (.onnx or .pte).
        new: The network that they shall hold: a folder for a folder, a file for a file, of whichever kind.
        out: The patch; it appears when it is complete.
        sequence: A number that grows with every patch; devices refuse what is not above their floor.
        key_file: Encrypt the patch with the 32 bytes in this file.
        sign: Sign the file with this Ed25519 private key (PEM); the signature is written beside it, as OUT.sig.
        overwrite: Replace the file if it is there.
        arch: Say module:function again to allow networks of your own code to be built.
    """

    old: tyro.conf.Positional[Path]
    new: tyro.conf.Positional[Path]
    out: File
    sequence: int = 1
    key_file: KeyFile = None
    sign: KeyFile = None
    overwrite: bool = False
    arch: Network = None


@dataclass(frozen=True, kw_only=True)
class PatchApply:
    """Make the new network from the old one and a patch, or nothing at all.

    It takes a few seconds for each million of integers that change, however small the patch.

    Example: obliq patch apply runs/original forget.patch --out runs/patched

    Attributes:
        old: The network that the patch was made from: a model folder or an exported file (.onnx or .pte).
        file: The patch.
        out: The new network; it appears when it is complete and has the digest that the patch promises.
        floor: The largest sequence number that was confirmed; the patch's must be larger. Not stored: say it each time.
        key_file: The 32 bytes that the patch was encrypted with.
        verify: Refuse the patch unless FILE.sig is its signature by this Ed25519 public key (PEM).
        overwrite: Replace what is there if it was made by obliq.
        arch: Say module:function again to allow a network of your own code to be built.
    """

    old: tyro.conf.Positional[Path]
    file: tyro.conf.Positional[Path]
    out: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    floor: int = 0
    key_file: KeyFile = None
    verify: KeyFile = None
    overwrite: bool = False
    arch: Network = None


@dataclass(frozen=True, kw_only=True)
class PatchInfo:
    """Show what a patch says about itself, and what it tells whoever holds the old network.

    Example: obliq patch info forget.patch

    Attributes:
        file: The patch.
        key_file: The 32 bytes that the patch was encrypted with.
    """

    file: tyro.conf.Positional[Path]
    key_file: KeyFile = None


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Make, apply or explain a patch: the changed integers of a network as a small file for devices.

    Example: obliq patch make runs/original runs/unlearned --out forget.patch

    Attributes:
        action: What to do; `obliq patch ACTION --help` explains it.
        run: How to run.
    """

    action: (
        Annotated[PatchMake, tyro.conf.subcommand("make")]
        | Annotated[PatchApply, tyro.conf.subcommand("apply")]
        | Annotated[PatchInfo, tyro.conf.subcommand("info")]
    )
    run: tyro.conf.CascadeSubcommandArgs[Circumstances] = field(default_factory=Circumstances)
