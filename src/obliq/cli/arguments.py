"""What can be typed: one dataclass a verb, whose docstrings are the help."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import tyro

from obliq.cli.bench_arguments import Bench
from obliq.cli.circumstances import Circumstances, Network
from obliq.cli.patch_arguments import Patch
from obliq.errors import ModelError
from obliq.methods import Method, available
from obliq.training.loop import Recipe

Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
What = Annotated[str, tyro.conf.arg(metavar="WHAT")]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Where results go.

    Attributes:
        out: A new folder; it appears when it is complete.
        overwrite: Replace the folder if it is there and was made by obliq. A power cut between its two renames leaves
            both folders hidden beside it, whole.
    """

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    overwrite: bool = False


def _methods() -> Any:
    """Every registered method as a sub-command; its fields are the options.

    Raises:
        ModelError: when a method cannot be loaded or has no fields.
    """
    for name, kind in available().items():
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and issubclass(kind, Method)):
            raise ModelError(
                f"the method '{name}' is {kind!r}; expected a dataclass with an unlearn function"
            )
    kinds = [Annotated[kind, tyro.conf.subcommand(name)] for name, kind in available().items()]
    return Union[tuple(kinds)]  # noqa: UP007 - a tuple of any length has no other spelling


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Forget one writer of handwritten digits, end to end, in about two minutes.

    Example: obliq demo --out demo

    Trains a 4-bit network on scikit-learn's digits, forgets one writer, retrains without that writer for
    comparison, and writes an audit, a report, an ONNX file (extra `onnx`) and the patch to it.

    Attributes:
        out: A new folder; it appears when it is complete.
        overwrite: Replace the folder if it is there and was made by obliq. A power cut between its two renames leaves
            both folders hidden beside it, whole.
        run: How to run.
    """

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("demo")
    overwrite: bool = False
    run: Circumstances = field(default_factory=Circumstances)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a quantized network and remember which samples it learned from.

    Example: obliq train fashion-mnist --arch resnet20 --bits W4A4 --out runs/original

    Attributes:
        data: A built-in set (digits, fashion-mnist, mnist, cifar10), npz:FILE, folder:DIR or module:function.
        data_folder: Where the files of a built-in set are.
        arch: convnet, strided-convnet, resnet20, resnet18, mobilenetv2, signal-convnet or module:function; chosen
            to fit the data when left out.
        bits: Bits of weights and activations, from W2A2 to W8A8, or FP32.
        preset: `deploy` quantizes everything that an integer graph needs; `paper` leaves stem, 1x1 shortcuts and
            classifier in floating point, as the Q-MUL networks do.
        weight_grid: One learned weight step for each channel, or one for the whole layer (tensor).
        holdout: Share of samples (or people) kept out of training, for calibration and audits.
        test: The same for the test part, where the data set has none of its own.
        limit: Train on about this many samples at most; 0 for all.
        recipe: The training recipe.
        result: Where results go.
        run: How to run.
    """

    data: tyro.conf.Positional[str]
    data_folder: Folder = None
    arch: Network = None
    bits: str = "W4A4"
    preset: Literal["deploy", "paper"] = "deploy"
    weight_grid: Literal["per_channel", "per_tensor"] = "per_channel"
    holdout: float = 0.15
    test: float = 0.15
    limit: int = 0
    recipe: Recipe = field(default_factory=Recipe)
    result: Result
    run: Circumstances = field(default_factory=Circumstances)


@dataclass(frozen=True, kw_only=True)
class Division:
    """How the data were divided when the network in a file was trained; a folder knows it.

    Attributes:
        division_seed: The seed of `obliq train`.
        holdout: Share of samples (or people) that were kept out of training.
        test: The same for the test part, where the data set has none of its own.
        limit: The limit of training samples; 0 for all.
    """

    division_seed: int = 0
    holdout: float = 0.15
    test: float = 0.15
    limit: int = 0


@dataclass(frozen=True, kw_only=True)
class Unlearn:
    """Make a saved network forget, by the method named last.

    Example: obliq unlearn runs/original --forget subject=7 --out runs/unlearned oeu --epochs 5

    Where only an exported file is left, give that: `obliq unlearn network.onnx --data digits ... oeu` writes a
    folder with the same graph, of which only codes and biases have changed. A file does not say what it was
    trained on, so the data and their division must be given as they were at training.

    Attributes:
        original: Folder of the network, or a file of it that `obliq export` wrote.
        forget: What to forget: class=3, subject=7, random=10%, random=600, ids=FILE (one id a line), or
            request=FILE (a request.json made before).
        data: Say module:function again to allow data made by your own code to be loaded; for a file, the data that
            it was trained on.
        data_folder: Where the files of a built-in data set are.
        arch: Say module:function again to allow a network of your own code to be built.
        division: How the data were divided, for a file.
        method: The method; `obliq unlearn ... METHOD --help` lists its options.
        result: Where results go.
        run: How to run.
    """

    original: tyro.conf.Positional[Path]
    forget: What
    data: Network = None
    data_folder: Folder = None
    arch: Network = None
    division: Division = field(default_factory=Division)
    method: Annotated[Method, tyro.conf.arg(constructor_factory=_methods)]
    result: Result
    run: tyro.conf.CascadeSubcommandArgs[Circumstances] = field(default_factory=Circumstances)


@dataclass(frozen=True, kw_only=True)
class RetrainVerb:
    """Train the same network anew without what is to be forgotten: the reference of every gap.

    Example: obliq retrain runs/original --forget subject=7 --out runs/retrained

    Attributes:
        original: Folder of the network; its recipe is followed.
        forget: What to leave out: class=3, subject=7, random=10%, random=600, ids=FILE (one id a line), or
            request=FILE (a request.json made before).
        data: Say module:function again to allow data made by your own code to be loaded.
        data_folder: Where the files of a built-in data set are.
        arch: Say module:function again to allow a network of your own code to be built.
        result: Where results go.
        run: How to run.
    """

    original: tyro.conf.Positional[Path]
    forget: What
    data: Network = None
    data_folder: Folder = None
    arch: Network = None
    result: Result
    run: Circumstances = field(default_factory=Circumstances)


@dataclass(frozen=True, kw_only=True)
class AuditVerb:
    """Measure what networks still show of the forgotten samples, and write audit.json and report.html.

    Example: obliq audit runs/original runs/unlearned --retrained runs/retrained --out runs/audit

    A file that `obliq export` wrote (.onnx or .pte) can stand after the folder that it was exported from, or in
    place of it: the same measurements are then made on what a device runs. Where only files are left, all of them may
    be files, those of other quantizers too: `obliq audit original.onnx unlearned/network.onnx --data digits ...`;
    data and their division must then be given as they were at training.

    Attributes:
        networks: Folder of the original, then one or more folders or files of networks that unlearned; or files only.
        request: The request.json to audit, where no folder holds it.
        runtime: What runs files: the runtime that a file is for (its own), or our interpreter, which is slow.
        retrained: Folder or file of the network trained without the forget set; without it there is no gap.
        references: Train this many networks (2, 4, ...) by the original's recipe on halves of its data, for the
            RMIA attack; each takes about half the time of the original. 0 leaves the attack out.
        data: Say module:function again to allow data made by your own code to be loaded; for files, the data that
            they were trained on.
        data_folder: Where the files of a built-in data set are.
        arch: Say module:function again to allow networks of your own code to be built.
        division: How the data were divided, for files.
        show_forgotten: Put up to this many forgotten images into the report, which may outlive the request.
        result: Where results go.
        run: How to run.
    """

    networks: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="ORIGINAL UNLEARNED [UNLEARNED ...]", help_behavior_hint="(required)"),
    ]
    retrained: Folder = None
    request: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    runtime: Literal["own", "onnxruntime", "executorch", "interpreter"] = "own"
    references: int = 0
    data: Network = None
    data_folder: Folder = None
    arch: Network = None
    division: Division = field(default_factory=Division)
    show_forgotten: int = 0
    result: Result
    run: Circumstances = field(default_factory=Circumstances)


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write the file that a device runs, and prove that it answers as the network does.

    Example: obliq export runs/unlearned --to onnx --out unlearned.onnx --check fashion-mnist

    A file adds biases as integers, so it differs a little from the network as trained. `--to network` writes
    that network with the biases of the file: it exports to the same file, and its audit is one of the file.

    Attributes:
        folder: Folder of the network.
        to: `onnx` writes a file for ONNX Runtime, `executorch` one for ExecuTorch with XNNPACK, `network` a folder
            that computes in PyTorch what the file does.
        form: `integer` runs fastest, `compact` packs weights into 4 or 2 bits, `float` is the FP32 reference;
            ExecuTorch has the first only.
        out: The new file or folder; it appears when it is complete.
        overwrite: Replace it if it is there.
        check: Run the file on this data (the test part of the network's own, or npz:FILE and such), print how it
            agrees with the network and write OUT.parity.json.
        check_samples: Check at most this many samples of each data set, spread evenly; 0 for all.
        parity_out: Where the measured agreement goes instead.
        data_folder: Where the files of a built-in data set are.
        arch: Say module:function again to allow a network of your own code to be built.
        run: How to run.
    """

    folder: tyro.conf.Positional[Path]
    to: Literal["onnx", "executorch", "network"] = "onnx"
    form: Literal["integer", "compact", "float"] = "integer"
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    overwrite: bool = False
    check: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATA [DATA ...]")] = ()
    check_samples: int = 2000
    parity_out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    data_folder: Folder = None
    arch: Network = None
    run: Circumstances = field(default_factory=Circumstances)


@dataclass(frozen=True, kw_only=True)
class Show:
    """Show what is in a saved network: layers, bits, sizes, digests, and how it was made.

    Example: obliq show runs/unlearned

    Attributes:
        folder: Folder of the network.
        arch: Say module:function again to allow a network of your own code to be built.
        run: How to run.
    """

    folder: tyro.conf.Positional[Path]
    arch: Network = None
    run: Circumstances = field(default_factory=Circumstances)


VERBS = {
    "demo": Demo,
    "train": Train,
    "unlearn": Unlearn,
    "retrain": RetrainVerb,
    "audit": AuditVerb,
    "show": Show,
    "bench": Bench,
    "patch": Patch,
    "export": Export,
}
