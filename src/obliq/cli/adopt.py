"""`obliq adopt`: a network that was trained elsewhere becomes an original."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from obliq.cli.options import (
    DataFolder,
    LabelOption,
    LayerOption,
    OutputOptions,
    Overwrite,
    PartOption,
    ResultFolder,
    TrainingComputeOptions,
)
from obliq.cli.verbs import StageListener, Verb, VerbOutput


@dataclass(frozen=True, kw_only=True)
class AdoptArguments:
    """Load a network that was trained elsewhere, and quantize it.

    Example: obliq adopt digits --arch mynet:network --weights mynet.pt --trained-on ids=train.txt --out runs/original

    Example: obliq adopt folder:train --holdout folder:val --arch mynet:network --weights mynet.pt --out runs/original

    The result is an original network, as from `obliq train`. The command prints the accuracy before and after
    quantization.

    Attributes:
        data: A built-in set (digits, fashion-mnist, mnist, cifar10, cifar100, svhn, tiny-imagenet, watch), npz:FILE,
            folder:DIR or module:function. Scale inputs as in training; module:function can return them as floats.
        arch: Your network code, as module:function, or a built-in name. The function is called with (input_shape,
            classes) or without arguments.
        weights: Its state dict as .safetensors or .pt, or `included` if the function returns trained weights.
            A state dict of `obliq.quantize` comes in with its steps.
        trained_on: Samples of DATA that it was trained on: all, ids=FILE (one id per line) or subject=1,2. `all` leaves
            out an official test set, and is the default where unseen samples have a source of their own.
        holdout: Unseen samples for calibration and audits: a source of their own (folder:val), ids=FILE or subject=7.
            With --trained-on ids=FILE, a share divides the remaining samples. 0 for none.
        test: The same for the test set.
        bits: Bits of weights and activations, by default W8A8: 8 bits for both. From W2A2 to W8A8, or FP32 for no
            quantization. A network with quantizers of Brevitas or torch.ao states its own.
        preset: `deploy` quantizes everything that an integer graph needs. `paper` keeps the first layer, 1x1 shortcuts
            and the last layer in floating point.
        weight_grid: Use one scale of the weights per output channel, or one per tensor.
        fine_tune: Continue training with quantization for this many epochs; 0 only calibrates.
        rate: Peak learning rate of --fine-tune.
        batch_size: Samples per step of --fine-tune.
    """

    data: tyro.conf.Positional[str]
    arch: Annotated[str, tyro.conf.arg(aliases=["--network"], metavar="NAME")]
    weights: Annotated[str, tyro.conf.arg(metavar="FILE")]
    trained_on: Annotated[str | None, tyro.conf.arg(metavar="SAMPLES", help_behavior_hint="")] = None
    holdout: PartOption = None
    test: PartOption = None
    out: ResultFolder
    overwrite: Overwrite = False
    data_folder: DataFolder = None
    label: LabelOption = None
    bits: Annotated[str | None, tyro.conf.arg(metavar="BITS", help_behavior_hint="")] = None
    layer_bits: LayerOption = ""
    preset: Literal["deploy", "paper"] = "deploy"
    weight_grid: Literal["per_channel", "per_tensor"] = "per_channel"
    fine_tune: Annotated[int, tyro.conf.arg(metavar="EPOCHS")] = 0
    rate: float = 0.005
    batch_size: int = 128
    compute: TrainingComputeOptions = field(default_factory=TrainingComputeOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def _trained_on(arguments: AdoptArguments) -> str:
    """What the network was trained on: all of its source, where the unseen samples have sources of their own.

    Raises:
        DataError: where only the user can know it.
    """
    from obliq.data.named_parts import EVERYTHING
    from obliq.data.separate_sources import is_source, sources_of
    from obliq.errors import DataError

    if arguments.trained_on is not None:
        return arguments.trained_on
    separate = any(is_source(str(part)) for part in (arguments.holdout, arguments.test) if part is not None)
    if separate or len(sources_of(arguments.data)) > 1:
        return EVERYTHING
    raise DataError(
        f"nothing states which samples of {arguments.data} the network was trained on; expected --trained-on all, "
        "ids=FILE or subject=1,2, or unseen samples from a source of their own (--holdout folder:DIR)"
    )


def _require_no_other_form(arguments: AdoptArguments, bits: str) -> None:
    """Raise where options contradict the quantizers that a network came with.

    Raises:
        ModelError: with what the quantizers state.
    """
    from obliq.errors import ModelError

    other = arguments.bits is not None and arguments.bits.strip().upper() != bits
    if other or arguments.layer_bits or arguments.preset != "deploy":
        raise ModelError(
            f"{arguments.arch} has quantizers of its own, of {bits}; expected no --bits, --layer-bits or --preset"
        )


def run_adopt(arguments: AdoptArguments, progress: StageListener) -> VerbOutput:
    """Load, quantize and measure a network."""
    from obliq.checkpoints import Blueprint
    from obliq.checkpoints.run_folder import save_run
    from obliq.cli.computation import start_run
    from obliq.cli.loaded_accuracy import accuracy_lines, doubts
    from obliq.cli.next_command import repeated_options
    from obliq.cli.next_steps import after_original
    from obliq.cli.output import saved_run_values
    from obliq.data.datasets import require_label, require_outside
    from obliq.data.named_parts import PartWords, load_parts
    from obliq.data.summary import contents_in_words, parts_in_words
    from obliq.io.atomic import refuse_existing_folder
    from obliq.quantization import LayerBits, Precision
    from obliq.training.loop import Recipe, require_at_least
    from obliq.workflow.adoption import accuracy_by_scale, adopt_original
    from obliq.workflow.baseline import most_frequent_share
    from obliq.workflow.loaded_network import load_network
    from obliq.workflow.network_checks import outputs_of

    refuse_existing_folder(arguments.out, overwrite=arguments.overwrite)
    if arguments.label is not None:
        require_label(arguments.label)
    precision = Precision.parse(arguments.bits or "W8A8")
    require_at_least(0, fine_tune=arguments.fine_tune)
    recipe = None
    if arguments.fine_tune:
        recipe = Recipe(
            epochs=arguments.fine_tune, learning_rate=arguments.rate, batch_size=arguments.batch_size
        )
    run = start_run(arguments.compute, progress, compiled=arguments.compute.compile)
    words = PartWords(
        trained_on=_trained_on(arguments), holdout=arguments.holdout, test=arguments.test, seed=run.seed
    )
    parts = load_parts(arguments.data, arguments.data_folder, words)
    require_outside(parts.collection.name, arguments.out)
    data = parts.collection
    progress.print_line(f"data: {contents_in_words(data)}")
    progress.print_line(f"parts: {parts_in_words(parts)}")
    loaded = load_network(arguments.arch, arguments.weights, parts.train)
    weight_grid: str = arguments.weight_grid
    layer_bits = LayerBits.parse(arguments.layer_bits)
    if (form := loaded.form) is not None:
        _require_no_other_form(arguments, form.bits)
        precision, weight_grid, layer_bits = form.precision, form.weight_grid, form.layer_bits
    blueprint = Blueprint(
        architecture=arguments.arch,
        input_shape=data.sample_shape,
        classes=outputs_of(loaded.network, parts.train),
        precision=precision,
        preset=arguments.preset,
        weight_grid=weight_grid,
        layer_bits=layer_bits,
    )
    progress.stage(
        f"quantizing {arguments.arch} to {precision} on {len(parts.train):,} samples of {data.name}"
    )
    against_export: list[str] = []

    def warn(line: str) -> None:
        against_export.append(f"WARNING: {line}")
        progress.print_line(against_export[-1])

    adopted = adopt_original(loaded, parts, blueprint, recipe, run, warn, arguments.label)
    save_run(arguments.out, adopted, overwrite=arguments.overwrite)
    record = adopted.checkpoint.provenance.loaded
    assert record is not None
    counts = adopted.checkpoint.provenance.counts
    baselines = {name: most_frequent_share(getattr(parts, name)) for name, count in counts.items() if count}
    by_scale = accuracy_by_scale(loaded.as_it_came, parts.train, run)
    warnings = against_export + doubts(record.accuracy, baselines, by_scale, data.name)
    return VerbOutput(
        lines=[
            *loaded.notes,
            *accuracy_lines(record.accuracy, counts, baselines),
            *warnings,
            f"original network in {arguments.out}, trained elsewhere ({record.source})",
        ],
        values={
            **saved_run_values(adopted, arguments.out),
            "accuracy": record.accuracy,
            "most_frequent_class": {name: round(share, 2) for name, share in baselines.items()},
            "notes": [*loaded.notes, *warnings],
        },
        next_command=after_original(
            arguments.out,
            parts,
            repeated_options(arguments.data_folder, None, arguments.arch, stored=data.name),
        ),
    )


VERB = Verb(AdoptArguments, run_adopt)
