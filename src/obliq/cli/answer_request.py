"""What `obliq unlearn` and `obliq retrain` share: a request is answered by the network in a folder."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from obliq.checkpoints import Checkpoint, Provenance
from obliq.checkpoints.folder import DOCUMENT_FILE
from obliq.checkpoints.request_tag import bind_request, require_bound
from obliq.checkpoints.run_folder import SavedRun, load_run, save_run
from obliq.cli.answered_requests import earlier_of_folder
from obliq.cli.gate import judge_gate
from obliq.cli.loaded_accuracy import accuracy_lines
from obliq.cli.nearby_networks import original_of
from obliq.cli.next_steps import DEFAULT, WITHOUT_HOLDOUT, after_request, retraining_hint
from obliq.cli.options import RequestOptions
from obliq.cli.output import saved_run_values
from obliq.cli.patch_files import encryption_key
from obliq.cli.verbs import StageListener, VerbOutput
from obliq.data import MissingExamples, Splits
from obliq.data.datasets import require_outside
from obliq.data.request_file import Request
from obliq.errors import DataError, ObliqError
from obliq.io.atomic import LEAST_ROOM, refuse_existing_folder, require_room
from obliq.methods import Method, Retrain
from obliq.run import Run
from obliq.workflow.advice import RECOMMENDED, reason_to_retrain
from obliq.workflow.baseline import most_frequent_share
from obliq.workflow.cost import CostEstimate, estimate_cost
from obliq.workflow.earlier_requests import counted_requests
from obliq.workflow.known_originals import read_network_document
from obliq.workflow.new_request import (
    create_request,
    forgotten_before,
    request_in_words,
    require_selectors,
)
from obliq.workflow.pipeline import recipe_of, same_partition, source_now, unlearn_original
from obliq.workflow.rehearsal import require_step_memory

RETRAINING = "retraining on {retain} samples, without {gone}"


@dataclass(frozen=True)
class Answer:
    """How a request is answered.

    Attributes:
        stage: what progress shows, with places for the samples to forget (`forget`), for these and those forgotten
            before (`gone`), and for those to retain.
        compute: from the roles of the samples and the request to the new network.
        cost: from the roles to what this will cost, compared with retraining; None where that is not known.
        advice: from the roles to why retraining is the better answer, in words; empty where nothing speaks for that.
        retrains: whether the new network never receives the samples of earlier requests, whatever it is computed from.
        is_named: whether the user named the method. Advice is a warning then, and stops the command otherwise.
    """

    stage: str
    compute: Callable[[Splits, Request], SavedRun]
    cost: Callable[[Splits], CostEstimate | None] = lambda splits: None
    advice: Callable[[Splits], str] = lambda splits: ""
    retrains: bool = True
    is_named: bool = True


def answer_request(
    arguments: RequestOptions,
    run: Run,
    progress: StageListener,
    answer_for: Callable[[Checkpoint], Answer],
    *,
    accept: bool = False,
    check: Callable[[Splits, Request], object] = lambda splits, request: None,
) -> VerbOutput:
    """Answer a request with an original and save the result.

    Args:
        arguments: the original, the request, and where the result goes.
        run: seed, device and listener.
        progress: shows the stage.
        answer_for: chooses how to answer, when the original is known.
        accept: keep a network that fails its gate where the result belongs.
        check: raises for a request that needs an acceptance in words.

    Raises:
        DataError: when the request does not fit the network, or no method was named and none is recommended.
    """
    out, data = arguments.out, arguments.data
    refuse_existing_folder(out, overwrite=arguments.overwrite, inputs=(arguments.original,))
    key = encryption_key(arguments.request_key)
    require_named(arguments)
    base = load_run(arguments.original, data.arch)
    original = base.checkpoint
    stored = sum(file.stat().st_size for file in arguments.original.iterdir() if file.is_file())
    require_room(out, stored + LEAST_ROOM)
    answer = answer_for(original)
    refuse_ancestor(out, original.provenance, arguments.original)
    if key is not None and base.request is not None:
        require_bound(arguments.original, base.request, key)
    earlier = earlier_of_folder(arguments, base, retrains=answer.retrains)
    parts = same_partition(original, data.data_folder, data.data)
    require_outside(parts.collection.name, out)
    splits, request = create_request(parts, arguments.forget, run.seed, earlier, retrains=answer.retrains)
    for line in request_lines(request, splits):
        progress.print_line(line)
    check(splits, request)
    cost, advice = answer.cost(splits), answer.advice(splits)

    def hint() -> str:
        return retraining_hint(
            arguments, original_of(arguments.original, original.provenance), original.provenance
        )

    if not answer.is_named:
        if isinstance(splits.holdout, MissingExamples):
            raise none_recommended(
                f"{DEFAULT} compares with holdout samples, and the network was trained without any",
                hint(),
                WITHOUT_HOLDOUT,
            )
        if advice:
            raise none_recommended(advice, hint(), DEFAULT)
    if reasons := [one for one in (advice, cost.warning if cost else "") if one]:
        for line in (*reasons[:-1], f"{reasons[-1]}. {hint()}"):
            progress.print_warning(line)
    progress.stage(answer.stage.format(**_counts(splits)))
    answered = answer.compute(splits, request)
    gated = judge_gate(answered.checkpoint.provenance, out, accept=accept)
    provenance, folder = gated.provenance, gated.out
    source = source_now(original, parts)
    answered = replace(
        answered, checkpoint=replace(answered.checkpoint, provenance=provenance, source=source)
    )
    save_run(folder, answered, overwrite=arguments.overwrite)
    if key is not None and answered.request is not None:
        bind_request(folder, answered.request, key)
    return VerbOutput(
        lines=[
            *_accuracies(provenance, splits),
            *gated.lines,
            f"{provenance.role} network in {folder}, in {provenance.seconds:,.1f} s",
        ],
        values={**saved_run_values(answered, folder), **gated.values, **_cost_values(cost), "advice": advice},
        next_command=[]
        if gated.unmet
        else after_request(
            arguments, original, provenance.role, advised=bool(reason_to_retrain(RECOMMENDED, splits))
        ),
        unmet=gated.unmet,
    )


def _counts(splits: Splits) -> dict[str, str]:
    """Numbers of samples as a stage shows them; what a network is retrained without includes all earlier requests."""
    forget, retain = len(splits.forget), len(splits.retain)
    before = len(splits.partition.train) - forget - retain
    return {
        "forget": f"{forget:,}",
        "retain": f"{retain:,}",
        "gone": f"{forget:,} and the {before:,} that were forgotten before" if before else f"{forget:,}",
    }


def refuse_ancestor(out: Path, provenance: Provenance, name: Path) -> None:
    """Raise where a result would replace a network that another one was unlearned from.

    Args:
        out: where the result goes.
        provenance: of the network that is about to be unlearned.
        name: where that one is.

    Raises:
        ObliqError: naming both.
    """
    found = read_network_document(out / DOCUMENT_FILE)
    ancestors = {entry.base_digest for entry in provenance.forgotten_so_far} | {provenance.base_digest}
    if found is not None and found.weights_digest in ancestors:
        raise ObliqError(
            f"--out {out} would replace the network that {name} was unlearned from, which an audit and a retraining "
            "need; choose another --out"
        )


def none_recommended(advice: str, retraining: str, example: str) -> DataError:
    """The error of a request without a method for which no method is recommended.

    Args:
        advice: why not, in words.
        retraining: how to retrain. It ends with a command, which no full stop may follow.
        example: a method that the user could name.
    """
    return DataError(
        f"no method was named, and none is recommended here: {advice}. To unlearn nevertheless, write the name of a "
        f"method after all other options, for instance {example}. {retraining}"
    )


def require_named(arguments: RequestOptions) -> None:
    """Raise unless something to forget was named, in a form that there is.

    Raises:
        DataError: with an example, or for a word that is no selector.
    """
    if not arguments.forget:
        raise DataError("nothing to forget was named; expected --forget, for instance --forget subject=7")
    require_selectors(arguments.forget)


def request_lines(request: Request, splits: Splits) -> list[str]:
    """What will be forgotten, and what was forgotten before."""
    lines = [f"to forget: {request_in_words(request, splits)}"]
    if again := forgotten_before(request):
        named = len(request.ids) + again
        lines.append(f"to forget: {again:,} of {named:,} samples were forgotten before and are left out")
    if request.earlier:
        lines.append(f"to forget: the network has forgotten {counted_requests(request.earlier)} before")
    return lines


def by_method(
    original: Checkpoint, method: Method, run: Run, *, folder: Path, is_named: bool = True
) -> Answer:
    """Answer a request by a method; the folder is that of the network."""
    retrains = isinstance(method, Retrain)

    def compute(splits: Splits, request: Request) -> SavedRun:
        require_step_memory(original.model, splits.retain, method, run)
        return unlearn_original(original, splits, request, method, run)

    return Answer(
        stage=RETRAINING if retrains else "forgetting {forget} samples, keeping {retain}",
        compute=compute,
        cost=lambda splits: _estimated(original, folder, method, splits),
        advice=lambda splits: reason_to_retrain(method, splits),
        retrains=retrains,
        is_named=is_named,
    )


def _estimated(base: Checkpoint, folder: Path, method: Method, splits: Splits) -> CostEstimate | None:
    """The cost of a method; None for a network that was trained elsewhere, or began with loaded weights.

    A network that was unlearned before has the recipe of the original that lies beside it.
    """
    first = original_of(folder, base.provenance)
    known = first.provenance if first else base.provenance
    return estimate_cost(method, splits, recipe_of(known)) if known.is_repeatable else None


def _cost_values(cost: CostEstimate | None) -> dict[str, Any]:
    return {} if cost is None else {"cost": {**asdict(cost), "warning": cost.warning}}


def _accuracies(provenance: Provenance, splits: Splits) -> list[str]:
    """The accuracy of a network that was retrained elsewhere, at each stage."""
    if provenance.loaded is None:
        return []
    baselines = {
        role: most_frequent_share(getattr(splits, role)) for role, count in provenance.counts.items() if count
    }
    return accuracy_lines(provenance.loaded.accuracy, provenance.counts, baselines)
