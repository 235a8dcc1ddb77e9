"""`obliq train`: a quantized network, trained on the training part of a data set."""

import dataclasses
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
from obliq.training.loop import Recipe


class DefaultRate(float):
    """A learning rate that no option states, so that the network may have another one."""


@dataclass(frozen=True, kw_only=True)
class TrainArguments:
    """Train a quantized network and record its training samples.

    Example: obliq train fashion-mnist --arch resnet20 --bits W4A4 --out runs/original

    Attributes:
        data: A built-in set (digits, fashion-mnist, mnist, cifar10, cifar100, svhn, tiny-imagenet, watch), npz:FILE,
            folder:DIR or module:function. The last three take options, such as
            npz:FILE,layout=LC; `obliq data --help` explains them.
        arch: convnet, strided-convnet, resnet20, resnet18, mobilenetv2, signal-convnet, or your own network code as
            module:function. By default one that fits the data.
        bits: Bits of weights and activations: W4A4 is 4 bits for both. From W2A2 to W8A8, or FP32 for no quantization.
        preset: `deploy` quantizes everything that an integer graph needs. `paper` keeps the first layer, 1x1 shortcuts
            and the last layer in floating point, as the Q-MUL networks do.
        weight_grid: Learn one scale of the weights per output channel, or one per tensor.
        holdout: Share of samples that are kept out of training, for calibration and audits, by default 0.15. Where the
            data know people, it is a share of the people, and nobody is in two parts. Or name the samples: ids=FILE
            (one id per line), subject=7, or a source of their own, such as folder:val. Pass 0 for none.
        test: The same for the test set. A share has no effect if the data set has a test set of its own.
        limit: Train on about this many samples at most; 0 for all.
        from_weights: Start from these weights (.safetensors or .pt) instead of random ones. `included` starts from
            those that the function of --arch returns.
    """

    data: tyro.conf.Positional[str]
    out: ResultFolder
    overwrite: Overwrite = False
    data_folder: DataFolder = None
    label: LabelOption = None
    arch: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    bits: str = "W4A4"
    layer_bits: LayerOption = ""
    preset: Literal["deploy", "paper"] = "deploy"
    weight_grid: Literal["per_channel", "per_tensor"] = "per_channel"
    holdout: PartOption = None
    test: PartOption = None
    limit: int = 0
    from_weights: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    recipe: Recipe = field(default_factory=lambda: Recipe(learning_rate=DefaultRate(Recipe.learning_rate)))
    compute: TrainingComputeOptions = field(default_factory=TrainingComputeOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_train(arguments: TrainArguments, progress: StageListener) -> VerbOutput:
    """Train an original network, and measure how many test samples it classifies correctly."""
    from obliq.checkpoints import Blueprint
    from obliq.checkpoints.run_folder import save_run
    from obliq.cli.computation import start_run
    from obliq.cli.next_command import repeated_options
    from obliq.cli.next_steps import after_original
    from obliq.cli.output import saved_run_values
    from obliq.data import MissingExamples
    from obliq.data.datasets import require_label, require_outside
    from obliq.data.named_parts import PartWords, load_parts
    from obliq.data.summary import contents_in_words, parts_in_words
    from obliq.io.atomic import refuse_existing_folder
    from obliq.models import choose_architecture
    from obliq.quantization import LayerBits, Precision
    from obliq.workflow.baseline import accuracy_in_words, accuracy_values, with_accuracy
    from obliq.workflow.loaded_network import load_network
    from obliq.workflow.network_checks import outputs_of
    from obliq.workflow.pipeline import train_original

    refuse_existing_folder(arguments.out, overwrite=arguments.overwrite)
    if arguments.label is not None:
        require_label(arguments.label)
    precision = Precision.parse(arguments.bits)
    run = start_run(arguments.compute, progress, compiled=arguments.compute.compile)
    words = PartWords(holdout=arguments.holdout, test=arguments.test, seed=run.seed, limit=arguments.limit)
    parts = load_parts(arguments.data, arguments.data_folder, words)
    require_outside(parts.collection.name, arguments.out)
    data = parts.collection
    progress.print_line(f"data: {contents_in_words(data)}")
    progress.print_line(f"parts: {parts_in_words(parts)}")
    blueprint = Blueprint(
        architecture=arguments.arch or choose_architecture(data.sample_shape),
        input_shape=data.sample_shape,
        classes=data.classes,
        precision=precision,
        preset=arguments.preset,
        weight_grid=arguments.weight_grid,
        layer_bits=LayerBits.parse(arguments.layer_bits),
    )
    start = None
    if arguments.from_weights is not None:
        start = load_network(blueprint.architecture, arguments.from_weights, parts.train)
        blueprint = dataclasses.replace(blueprint, classes=outputs_of(start.network, parts.train))
    progress.stage(
        f"training {blueprint.architecture} {precision} on {len(parts.train):,} samples of {data.name}"
    )
    recipe = _settled_recipe(
        arguments.recipe,
        blueprint.architecture,
        len(parts.train),
        progress,
        rounds_logits=arguments.preset == "deploy" and not precision.is_float,
    )
    warnings: list[str] = []

    def warn(line: str) -> None:
        warnings.append(f"WARNING: {line}")
        progress.print_line(warnings[-1])

    trained = train_original(parts, blueprint, recipe, run, start, warn, arguments.label)
    if not isinstance(parts.test, MissingExamples):
        progress.stage(f"testing on {len(parts.test):,} samples")
    trained = with_accuracy(trained, parts, run)
    measured = trained.checkpoint.provenance.accuracy
    save_run(arguments.out, trained, overwrite=arguments.overwrite)
    return VerbOutput(
        lines=[
            *(start.notes if start else ()),
            f"original network in {arguments.out}, trained in {trained.checkpoint.provenance.seconds:,.1f} s",
            *accuracy_in_words(measured),
            *warnings,
        ],
        values={**saved_run_values(trained, arguments.out), **accuracy_values(measured)},
        next_command=after_original(
            arguments.out,
            parts,
            repeated_options(arguments.data_folder, None, arguments.arch, stored=data.name),
        ),
    )


def _settled_recipe(
    given: Recipe, architecture: str, samples: int, progress: StageListener, *, rounds_logits: bool
) -> Recipe:
    """The recipe with what no option states chosen for the network and the number of samples, each in a line."""
    from obliq.models import ARCHITECTURES

    recipe = dataclasses.replace(given, learning_rate=float(given.learning_rate))
    own = ARCHITECTURES[architecture].learning_rate if architecture in ARCHITECTURES else None
    if own is not None and isinstance(given.learning_rate, DefaultRate):
        progress.print_line(f"learning rate: {own}, the default for {architecture} (--learning-rate)")
        recipe = dataclasses.replace(recipe, learning_rate=own)
    settled, steps = recipe.settled(samples), recipe.steps(samples)
    if settled.norm_statistics != recipe.norm_statistics:
        progress.print_line(
            f"batch norm: {steps:,} steps are too few for running statistics, so they are measured after training "
            "(--norm-statistics)"
        )
    if settled.logit_steps != recipe.logit_steps and rounds_logits:
        progress.print_line(
            f"logits: {steps:,} steps are too few to learn their range, so it is measured after training "
            "(--logit-steps)"
        )
    return settled


VERB = Verb(TrainArguments, run_train)
