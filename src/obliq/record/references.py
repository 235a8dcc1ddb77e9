"""How the references of a record are retrained: by the recipe of the original, or in the way that its rules name.

Code of the user's is never imported because a record names it: the person who runs a batch names the function again.
Everything that can be known is checked when the record is created, and again before a batch begins.
"""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from obliq.checkpoints import Checkpoint, Provenance
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Examples
from obliq.errors import ObliqError, RecordError
from obliq.io.ownership import digest_of_file
from obliq.io.strict_json import SettingValue, decode, encode
from obliq.methods import Retrain
from obliq.models import build_model, initialise
from obliq.models.weights_file import read_weights
from obliq.quantization import weights_digest
from obliq.record.batch_events import Retrained
from obliq.record.cases import Batch
from obliq.record.computing import BatchInputs
from obliq.record.method_settings import method_of
from obliq.record.policy import Policy, Retraining
from obliq.training.loop import Recipe
from obliq.workflow.loaded_network import INCLUDED, load_network, loaded_from_module
from obliq.workflow.pipeline import recipe_of
from obliq.workflow.reference import (
    import_training,
    require_other_weights,
    retrained_by_function,
    retrained_from_file,
    retrained_from_start,
)
from obliq.workflow.way_to_retrain import require_one_way


def require_way(provenance: Provenance, policy: Policy) -> None:
    """Refuse rules by which the references of an original cannot be retrained.

    Raises:
        RecordError: with the ways that fit.
    """
    if not policy.references:
        return
    options = {"function": "--with", "files": "--weights", "recipe": "--epochs", "start": "--from-weights"}
    ways = [options[policy.retraining.way]] if policy.retraining else []
    try:
        require_one_way(ways, provenance)
    except ObliqError as error:
        raise RecordError(f"{error}; or --references 0, with which audits reach no verdict") from error


def require_method(provenance: Provenance, policy: Policy) -> None:
    """Refuse retraining as the method by another recipe than the original's, which no audit accepts.

    Raises:
        RecordError: with the recipe of the original.
    """
    method = method_of(policy.method, policy.settings)
    if not isinstance(method, Retrain) or provenance.recipe is None:
        return
    # what a recipe leaves open, it takes from the original
    wanted: dict[str, SettingValue] = {**provenance.recipe, **encode(method.recipe)}
    if other := [name for name, value in provenance.recipe.items() if wanted[name] != value]:
        raise RecordError(
            f"method {policy.method} with {other[0]}={wanted[other[0]]}, and the original was trained with "
            f"{other[0]}={provenance.recipe[other[0]]}; expected another method, as no audit accepts another "
            "recipe and the rules of a record keep none"
        )


def require_possible(original: Checkpoint, policy: Policy, start: str) -> None:
    """Try what a way to retrain needs, as far as that takes seconds.

    Args:
        original: the network.
        policy: the rules, which `require_way` accepts.
        start: file of the weights that the training of the original began with; empty where it is not needed.

    Raises:
        ObliqError: when the function cannot be imported, the network cannot be drawn again, or the weights are others.
    """
    match policy.retraining:
        case Retraining(way="function", function=function):
            import_training(function)
        case Retraining(way="recipe"):
            initialise(copy.deepcopy(original.model), 0)
        case Retraining(way="start"):
            _require_start(original, start)


@dataclass(frozen=True, kw_only=True)
class Retrainer:
    """Retrains the references of a record.

    Attributes:
        policy: the rules.
        function: the function that the person who runs the batch names; None where they name none.
        files: weights that the user retrained, in the order of the references.
        start: weights that the training of the original began with; empty where they are not needed.
    """

    policy: Policy
    function: str | None = None
    files: tuple[Path, ...] = ()
    start: str = ""

    def __post_init__(self) -> None:
        way = self.policy.retraining
        words = way.words if way else "by the recipe of the original"
        if self.function is not None and (way is None or self.function != way.function):
            raise RecordError(
                f"--with {self.function}, but references of this record are retrained {words}; expected "
                + (f"--with {way.function}" if way and way.function else "no --with")
            )
        if self.files and (way is None or way.way != "files"):
            raise RecordError(
                f"--weights {self.files[0]}, but references of this record are retrained {words}; expected no --weights"
            )

    @property
    def needs_files(self) -> bool:
        """Whether the user retrains references for each batch."""
        return self.policy.retraining is not None and self.policy.retraining.way == "files"

    def require_ready(self, original: Checkpoint, data: Examples, batch: Batch | None) -> None:
        """Refuse a batch whose references cannot be retrained, before it begins.

        Args:
            original: the network.
            data: what it was trained on.
            batch: the batch that is under way; None for a new one.

        Raises:
            ObliqError: with what is missing.
        """
        if len(batch.retrained if batch else ()) >= self.policy.references:
            return
        match self.policy.retraining:
            case Retraining(way="function", function=function):
                if self.function is None:
                    raise RecordError(
                        f"references of this record are retrained by {function}, which is code of your own and is not "
                        f"run because a record names it; expected --with {function} if you trust it"
                    )
                import_training(function)
            case Retraining(way="files"):
                self._require_files(original, data, batch)
            case Retraining(way="start"):
                _require_start(original, self.start)

    def method(self, original: Checkpoint) -> Retrain | None:
        """The method that retrains, where it follows a recipe and begins with random weights; None otherwise."""
        match self.policy.retraining:
            case None:
                return Retrain(recipe=recipe_of(original.provenance))
            case Retraining(recipe=dict() as recipe):
                return Retrain(recipe=decode(Recipe, recipe, "the recipe"))
        return None

    def retrain(self, inputs: BatchInputs, seed: int, number: int) -> SavedRun:
        """Retrain a reference in a way of the user's own, where there is no `method`.

        Args:
            inputs: what the networks of the batch are computed from.
            seed: of every random draw.
            number: of the reference, from 1.

        Raises:
            ObliqError: when the user's own code or file does not give a network of the original's form.
        """
        original, splits, request = inputs.original, inputs.splits, inputs.request
        run = dataclasses.replace(inputs.run, seed=seed)
        match self.policy.retraining:
            case Retraining(way="function", function=function):
                return retrained_by_function(original, splits, request, function, run)
            case Retraining(way="files"):
                file = self.files[number - 1]
                return retrained_from_file(original, splits, request, str(file), run)
            case Retraining(way="start"):
                return retrained_from_start(original, splits, request, self.start, run)
            case _:
                raise RecordError("references are retrained by a recipe; expected a way of the user's own")

    def _require_files(self, original: Checkpoint, data: Examples, batch: Batch | None) -> None:
        """Read every file once, so that a wrong one is known before the network is unlearned."""
        wanted = self.policy.references
        if batch is None:
            raise RecordError(
                "references of this record are networks that you retrain for each batch; expected --retain-ids FILE "
                "first, which plans the batch and writes the ids of the samples to train on"
            )
        if len(self.files) != wanted:
            given = f"{len(self.files)} files" if self.files else "none"
            raise RecordError(
                f"batch {batch.number} needs {wanted} networks that you retrained without its samples, and {given} "
                f"were given; expected --weights with {wanted} files (--retain-ids FILE writes the ids to train on)"
            )
        digests = [digest_of_file(file) for file in self.files if file.is_file()]
        if len(set(digests)) < len(digests):
            raise RecordError("two files of --weights are the same; expected a network of its own in each")
        known = original.provenance.loaded
        for file in self.files:
            found = load_network(original.blueprint.architecture, file, data)
            if known is not None and found.digest == known.digest:
                raise RecordError(
                    f"{file} holds the weights of the original; expected those of a network that was trained without "
                    "the samples of the batch"
                )


def require_no_twin(
    found: SavedRun, number: int, before: Mapping[int, Retrained], others: Sequence[Checkpoint]
) -> None:
    """Refuse a reference that is the same network as an earlier one, or as one that it is compared with.

    Args:
        found: the reference.
        number: its number.
        before: the references of the batch so far, by their numbers.
        others: networks that saw the samples, or come from one that did.

    Raises:
        ObliqError: naming both.
    """
    require_other_weights(f"reference {number}", found.checkpoint.model, others)
    digest = weights_digest(found.checkpoint.model)
    twins = [one for one, event in before.items() if event.network == digest]
    if twins:
        raise RecordError(
            f"reference {number} is the same network as reference {twins[0]}, which shows nothing of how much "
            "retraining varies; expected training that draws from torch, whose seed differs each time"
        )


def _require_start(original: Checkpoint, start: str) -> None:
    """Refuse other weights than those that the training of an original began with."""
    architecture, known = original.blueprint.architecture, original.provenance.loaded
    if start == INCLUDED:
        network = build_model(architecture, original.blueprint.input_shape, original.blueprint.classes)
        digest = loaded_from_module(network, architecture, architecture).digest
    else:
        digest = read_weights(Path(start)).digest
    if known is None or digest != known.digest:
        began = f" ({known.source}, {known.digest[:12]}...)" if known else ""
        raise RecordError(
            f"{start} has digest {digest[:12]}...; expected the weights that the training of the original began with"
            f"{began}"
        )
