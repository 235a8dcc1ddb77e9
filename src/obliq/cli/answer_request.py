"""What `obliq unlearn` and `obliq retrain` share: a request is answered by the network in a folder."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from obliq.checkpoints import Checkpoint, Provenance
from obliq.checkpoints.folder import DOCUMENT_FILE
from obliq.checkpoints.request_tag import bind_request, require_bound
from obliq.checkpoints.run_folder import SavedRun, load_run, save_run
from obliq.cli.gate import judge_gate
from obliq.cli.loaded_accuracy import accuracy_lines
from obliq.cli.next_command import free_name, repeated_options
from obliq.cli.options import RequestOptions
from obliq.cli.output import saved_run_values
from obliq.cli.patch_files import encryption_key
from obliq.cli.verbs import StageListener, VerbOutput
from obliq.data import Splits
from obliq.data.datasets import require_outside
from obliq.data.request_file import REQUEST_FILE, Request, load_request
from obliq.errors import DataError, ObliqError
from obliq.io.atomic import LEAST_ROOM, refuse_existing_folder, require_room
from obliq.methods import Method, Retrain
from obliq.run import Run
from obliq.workflow.advice import reason_to_retrain
from obliq.workflow.baseline import most_frequent_share
from obliq.workflow.cost import CostEstimate, estimate_cost
from obliq.workflow.earlier_requests import counted_requests, requests_behind
from obliq.workflow.gate import require_passed
from obliq.workflow.known_originals import read_network_document
from obliq.workflow.new_request import (
    create_request,
    forgotten_before,
    request_file,
    request_in_words,
)
from obliq.workflow.pipeline import recipe_of, same_partition, unlearn_original
from obliq.workflow.rehearsal import require_step_memory

RETRAINING = "retraining on {retain} samples, without {forget}"


@dataclass(frozen=True)
class Answer:
    """How a request is answered.

    Attributes:
        stage: what progress shows, with places for the numbers of samples to forget and to retain.
        compute: from the roles of the samples and the request to the new network.
        cost: from the roles to what this will cost, compared with retraining; None where that is not known.
        advice: from the roles to why retraining is the better answer, in words; empty where nothing speaks for that.
        retrains: whether the new network never receives the samples of earlier requests, whatever it is computed from.
    """

    stage: str
    compute: Callable[[Splits, Request], SavedRun]
    cost: Callable[[Splits], CostEstimate | None] = lambda splits: None
    advice: Callable[[Splits], str] = lambda splits: ""
    retrains: bool = True


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
        DataError: when the network is no original.
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
    earlier = _earlier(arguments, base, retrains=answer.retrains)
    parts = same_partition(original, data.data_folder, data.data)
    require_outside(parts.collection.name, out)
    splits, request = create_request(parts, arguments.forget, run.seed, earlier, retrains=answer.retrains)
    for line in request_lines(request, splits):
        progress.print_line(line)
    check(splits, request)
    cost, advice = answer.cost(splits), answer.advice(splits)
    if reasons := [one for one in (advice, cost.warning if cost else "") if one]:
        for line in (*reasons[:-1], f"{reasons[-1]}. {_retrain_words(arguments, original)}"):
            progress.print_line(f"WARNING: {line}")
    progress.stage(answer.stage.format(forget=len(splits.forget), retain=len(splits.retain)))
    answered = answer.compute(splits, request)
    gated = judge_gate(answered.checkpoint.provenance, out, accept=accept)
    provenance, folder = gated.provenance, gated.out
    answered = replace(answered, checkpoint=replace(answered.checkpoint, provenance=provenance))
    save_run(folder, answered, overwrite=arguments.overwrite)
    if key is not None and answered.request is not None:
        bind_request(folder, answered.request, key)
    return VerbOutput(
        lines=[
            *_accuracies(provenance, splits),
            *gated.lines,
            f"{provenance.role} network in {folder}, in {provenance.seconds:.1f} s",
        ],
        values={**saved_run_values(answered, folder), **gated.values, **_cost_values(cost), "advice": advice},
        next_command=["show", folder] if gated.unmet else _next_command(arguments, original, provenance.role),
        unmet=gated.unmet,
    )


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


def require_named(arguments: RequestOptions) -> None:
    """Raise unless something to forget was named.

    Raises:
        DataError: with an example.
    """
    if not arguments.forget:
        raise DataError("nothing to forget was named; expected --forget, for instance --forget subject=7")


def earlier_of_file(arguments: RequestOptions, base: Provenance | None) -> tuple[Request, ...]:
    """The requests that an exported file answers, oldest first; those that the user names, where it has no record.

    Raises:
        DataError: when one of them is not at hand.
        ModelError: when the file failed its gate.
    """
    file = arguments.original
    given = [load_request(one) for one in arguments.forgotten]
    if base is None:
        return _each_once(given)
    if base.role == "original":
        _refuse_forgotten(arguments)
        return ()
    require_passed(base, str(file), accept=False)
    nearby = file.parent / REQUEST_FILE
    return _behind(base, given, load_request(nearby) if nearby.exists() else None, str(file))


def _behind(
    provenance: Provenance, given: list[Request], nearby: Request | None, name: str
) -> tuple[Request, ...]:
    """What a network answers. A request that lies near it counts only where the network records its digest."""
    known = [nearby] if nearby is not None and provenance.records_newest else []
    return requests_behind(provenance, [*given, *known], name)


def _refuse_forgotten(arguments: RequestOptions) -> None:
    """Raise where the user names earlier requests of an original.

    Raises:
        DataError: naming the first.
    """
    if arguments.forgotten:
        raise DataError(
            f"--forgotten {arguments.forgotten[0]}, but {arguments.original} is an original, which has forgotten "
            "nothing; expected --forget request=FILE for each request that it is to forget"
        )


def _each_once(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Requests and those before them."""
    single = (replace(one, earlier=()) for request in requests for one in (*request.earlier, request))
    return tuple({one.digest: one for one in single}.values())


def _earlier(arguments: RequestOptions, base: SavedRun, *, retrains: bool) -> tuple[Request, ...]:
    """The requests whose samples do not remain, oldest first.

    Raises:
        DataError: when one of them is not at hand, or was given although the network has forgotten nothing.
        ModelError: when the network failed its gate.
    """
    folder, provenance = arguments.original, base.checkpoint.provenance
    given = [load_request(file) for file in arguments.forgotten]
    if provenance.role != "original":
        require_passed(provenance, str(folder), accept=False)
        return _behind(provenance, given, base.request, str(folder))
    if not retrains:
        _refuse_forgotten(arguments)
    return _each_once(given)


def request_lines(request: Request, splits: Splits) -> list[str]:
    """What will be forgotten, and what was forgotten before."""
    lines = [f"to forget: {request_in_words(request, splits)}"]
    if again := forgotten_before(request):
        named = len(request.ids) + again
        lines.append(f"to forget: {again:,} of {named:,} samples were forgotten before and are left out")
    if request.earlier:
        lines.append(f"to forget: the network has forgotten {counted_requests(request.earlier)} before")
    return lines


def by_method(original: Checkpoint, method: Method, run: Run, *, folder: Path) -> Answer:
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
    )


def _estimated(base: Checkpoint, folder: Path, method: Method, splits: Splits) -> CostEstimate | None:
    """The cost of a method; None for a network that was trained elsewhere, or began with loaded weights.

    A network that was unlearned before has the recipe of the original that lies beside it.
    """
    first = _first_original(folder, base)
    known = first[1] if first else base.provenance
    return estimate_cost(method, splits, recipe_of(known)) if known.is_repeatable else None


def _retrain_words(arguments: RequestOptions, base: Checkpoint) -> str:
    """The command that retrains for the same request; only an original can be retrained."""
    if base.provenance.role != "original":
        return "Retrain the original instead (obliq retrain)"
    data = arguments.data
    named = [word for text in arguments.forget for word in ("--forget", text)]
    words = ["obliq", "retrain", arguments.original, *named, "--out"]
    words += [
        free_name(arguments.out, "retrained"),
        *(
            [] if base.provenance.is_repeatable else ["--with", "MODULE:FUNCTION"]
        ),  # only the user can train it again
        *repeated_options(data.data_folder, data.data, data.arch),
    ]
    seed = getattr(getattr(arguments, "compute", None), "seed", 0)
    words += ["--seed", seed] if seed else []
    return f"Retraining: {shlex.join(map(str, words))}"


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


def _next_command(arguments: RequestOptions, base: Checkpoint, role: str) -> list[str | Path]:
    """An audit when both networks are there, else what makes the missing one for the same request."""
    out, original, data = arguments.out, arguments.original, arguments.data
    repeated = repeated_options(data.data_folder, data.data, data.arch)
    same_request = ("--forget", f"request={out / REQUEST_FILE}", "--out")
    if role == "unlearned":
        first = _first_original(original, base)
        if first is None:
            return ["show", out]
        folder, provenance = first
        # without a recipe, only the user can train it again
        way = [] if provenance.is_repeatable else ["--with", "MODULE:FUNCTION"]
        return ["retrain", folder, *same_request, free_name(out, "retrained"), *way, *repeated]
    file = request_file(arguments.forget[0]) if len(arguments.forget) == 1 else None
    if file is not None and (file.parent / DOCUMENT_FILE).exists():
        # one retrained network does not decide
        several = ["--references", "4"] if base.provenance.is_repeatable else []
        audit = free_name(out, "audit")
        return ["audit", original, file.parent, "--retrained", out, *several, "--out", audit, *repeated]
    unlearned = free_name(out, "unlearned")
    return ["unlearn", original, *same_request, unlearned, *repeated, "proxy-matching"]


def _first_original(folder: Path, base: Checkpoint) -> tuple[Path, Provenance] | None:
    """The network before all requests: this one, or one in a folder next to it; None where it is elsewhere."""
    if base.provenance.role == "original":
        return folder, base.provenance
    for file in sorted(folder.parent.glob(f"*/{DOCUMENT_FILE}")):
        document = read_network_document(file)
        if document is not None and document.weights_digest == base.provenance.original_digest:
            return file.parent, document.provenance
    return None
