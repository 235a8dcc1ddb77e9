"""`obliq retrain`: the reference of an audit, a network that never saw the forget set."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from obliq.cli.options import OutputOptions, RequestOptions, TrainingComputeOptions
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import ModelError

if TYPE_CHECKING:
    from obliq.checkpoints import Checkpoint
    from obliq.cli.answer_request import Answer
    from obliq.run import Run

Number = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]
Given = Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """How to retrain. Only for a network that was trained elsewhere.

    Attributes:
        epochs: Passes over the retain set.
        learning_rate: Peak learning rate; 0.05 by default.
        weight_decay: Weight decay; 0.0005 by default.
        batch_size: Samples per step; 128 by default.
        augment: Use random crops and flips, for natural images.
    """

    epochs: Number = None
    learning_rate: Real = None
    weight_decay: Real = None
    batch_size: Number = None
    augment: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given."""
        return {name: value for name, value in vars(self).items() if value is not None and value is not False}


@dataclass(frozen=True, kw_only=True)
class RetrainArguments(RequestOptions):
    """Train again without the samples to forget, as the reference.

    Example: obliq retrain runs/original --forget subject=7 --out runs/retrained

    The recipe is the original's, so the folder of the original is needed. An audit compares the unlearned network with
    this one.

    A network that was trained elsewhere has no recipe. Pass --with (your own training), --weights (a network that you
    retrained), or --epochs (a recipe of Obliq, which starts from random weights).

    Attributes:
        with_: Your own training, as module:function. It is called with the retain set, a data set of (input, label),
            and returns a network. --seed sets torch's seed before the call, so the function must set none itself.
        weights: Weights that you retrained without these samples, as .safetensors or .pt.
        from_weights: The weights from which `obliq train --from-weights` started. They must not come from training on
            the samples to forget.
    """

    with_: Annotated[
        str | None, tyro.conf.arg(name="with", metavar="MODULE:FUNCTION", help_behavior_hint="")
    ] = None
    weights: Given = None
    from_weights: Given = None
    recipe: RecipeOptions = field(default_factory=RecipeOptions)
    compute: TrainingComputeOptions = field(default_factory=TrainingComputeOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_retrain(arguments: RetrainArguments, progress: StageListener) -> VerbOutput:
    """Retrain by the original's recipe, or in the way that the user named."""
    from obliq.cli.answer_request import answer_request
    from obliq.cli.computation import start_run
    from obliq.cli.file_inputs import is_exported_file
    from obliq.cli.nearby_networks import original_of_file

    if is_exported_file(arguments.original):
        near = original_of_file(arguments.original)
        raise ModelError(
            f"{arguments.original} is a file, which records no training; expected the folder of the network that it "
            f"was exported from{f', {near.folder}' if near else ''}"
        )
    run = start_run(arguments.compute, progress, compiled=arguments.compute.compile)
    return answer_request(arguments, run, progress, lambda original: _answer(arguments, original, run))


def _answer(arguments: RetrainArguments, original: "Checkpoint", run: "Run") -> "Answer":
    """How to retrain this original.

    Raises:
        ModelError: when the way does not fit the original, or none was named and it needs one.
    """
    from obliq.cli.answer_request import RETRAINING, Answer, by_method
    from obliq.methods import Retrain
    from obliq.training.loop import Recipe
    from obliq.workflow.pipeline import recipe_of
    from obliq.workflow.reference import (
        retrained_by_function,
        retrained_from_file,
        retrained_from_start,
    )
    from obliq.workflow.way_to_retrain import require_one_way

    if original.provenance.role != "original":
        raise ModelError(
            f"{arguments.original} is {original.provenance.role}, and only the original records how it was trained; "
            "expected the folder of the original, with --forget request=FILE for the request.json of the network that "
            "unlearned"
        )
    function, weights, start = arguments.with_, arguments.weights, arguments.from_weights
    own = arguments.recipe.given
    named = {"--with": function, "--weights": weights, "--from-weights": start, "--epochs": own or None}
    ways = [option for option, value in named.items() if value is not None]
    require_one_way(ways, original.provenance)
    if function is not None:
        return Answer(
            stage=f"{RETRAINING}, by {_verbatim(function)}",
            compute=lambda splits, request: retrained_by_function(original, splits, request, function, run),
        )
    if weights is not None:
        return Answer(
            stage=f"loading {_verbatim(weights)}, retrained on {{retain}} samples, without {{gone}}",
            compute=lambda splits, request: retrained_from_file(original, splits, request, weights, run),
        )
    if start is not None:
        return Answer(
            stage=f"{RETRAINING}, from {_verbatim(start)}",
            compute=lambda splits, request: retrained_from_start(original, splits, request, start, run),
        )
    if own:
        if "epochs" not in own:
            raise ModelError(f"{', '.join(own)} without epochs; expected --epochs")
        return by_method(original, Retrain(recipe=Recipe(**own)), run, folder=arguments.original)
    return by_method(original, Retrain(recipe=recipe_of(original.provenance)), run, folder=arguments.original)


def _verbatim(text: str) -> str:
    """A text in a stage, which has places in braces."""
    return text.replace("{", "{{").replace("}", "}}")


VERB = Verb(RetrainArguments, run_retrain)
