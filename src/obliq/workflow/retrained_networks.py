"""The retrained networks of an audit: given ones first, then others that are kept for later audits."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from obliq.checkpoints import Checkpoint
from obliq.checkpoints.folder import DOCUMENT_FILE
from obliq.checkpoints.request_tag import bind_request, require_bound
from obliq.checkpoints.run_folder import SavedRun, load_run, save_run
from obliq.data import Splits
from obliq.data.request_file import Request
from obliq.errors import AuditError, ObliqError
from obliq.methods import Retrain
from obliq.quantization import weights_digest
from obliq.run import Run
from obliq.workflow.pipeline import recipe_of, unlearn_original

RETRAINED = 3_000  # purposes of a run's generator, from here on: one per retrained network
MOST = 64


def require_count(count: int) -> None:
    """Raise for a number of retrained networks that shows no spread, or takes too long.

    Raises:
        AuditError: when it is not from 2 to 64.
    """
    if not 2 <= count <= MOST:
        raise AuditError(
            f"{count} retrained networks; expected 2 to {MOST}, for instance 4: fewer do not show how much "
            "retraining varies"
        )


def kept_folder(
    original: Path, base: str, request: Request, key: bytes | None = None, architecture: str | None = None
) -> Path:
    """Where the retrained networks of a request are kept: beside the original's folder, by the request's digest.

    Requests differ in their digests even where they name the same samples. If another one has networks of this
    original without the same samples, its folder is used, so that nothing is retrained twice.

    Args:
        original: the folder of the original.
        base: the digest of its weights.
        request: the request. After earlier requests, the name depends on their digests, too, since fewer samples
            remain.
        key: what binds networks to requests. With one, each request has its own networks.
        architecture: see `load_run`.
    """
    folder, name = original.resolve(), request.digest
    if request.earlier:
        digests = [one.digest for one in (*request.earlier, request)]
        name = hashlib.sha256("".join(digests).encode()).hexdigest()
    together = folder.with_name(f"{folder.name}.retrained")
    own = together / name[:12]
    if own.exists() or key is not None:
        return own
    return next((one for one in sorted(together.glob("*")) if _serves(one, base, request, architecture)), own)


def _serves(folder: Path, base: str, request: Request, architecture: str | None) -> bool:
    """Whether all networks in a folder were made from one original, without exactly the samples of a request."""
    places = [one.parent for one in folder.glob(f"*/{DOCUMENT_FILE}")]
    try:
        networks = [load_run(one, architecture) for one in places]
    except ObliqError:  # another's files, or damaged ones: they are no reason to stop
        return False
    return bool(networks) and all(
        one.request is not None
        and one.request.all_ids == request.all_ids
        and (one.checkpoint.provenance.role, one.checkpoint.provenance.original_digest) == ("retrained", base)
        for one in networks
    )


def complete_retrained(
    given: Sequence[SavedRun],
    count: int,
    original: Checkpoint,
    splits: Splits,
    request: Request,
    run: Run,
    folder: Path,
    stage: Callable[[str], None],
    architecture: str | None = None,
    key: bytes | None = None,
) -> list[SavedRun]:
    """Retrain until there are `count` networks without the forget set; those that an earlier audit kept are read.

    Args:
        given: retrained networks that the caller has; they count first.
        count: how many there shall be, see `require_count`.
        original: the network before the request; its recipe is followed.
        splits: the request's.
        request: the request; kept with each network.
        run: how to run. The seeds of the networks follow from its seed.
        folder: where the networks are kept, see `kept_folder`.
        stage: hears which network is trained, and how long that will take.
        architecture: see `load_run`.
        key: binds the networks to the request, see `obliq.checkpoints.request_tag`.

    Returns:
        The networks, the given ones first.

    Raises:
        AuditError: for an original that no recipe alone can repeat.
        ObliqError: when a folder cannot be read or written.
    """
    if not original.provenance.is_repeatable:
        raise AuditError(
            "the original was trained elsewhere or began with given weights, so that no recipe of Obliq repeats its "
            "training; expected several networks from `obliq retrain` with --with module:function, --weights FILE or "
            "--epochs N (--retrained DIR DIR ...) and no --references"
        )
    method = Retrain(recipe=recipe_of(original.provenance))
    networks = list(given)
    digests = {weights_digest(one.checkpoint.model) for one in given}  # the user may name one that is kept
    number = 0
    while len(networks) < count:
        seed = run.generator(purpose=RETRAINED + number).initial_seed() % 2**32
        number += 1
        kept = folder / str(seed)
        if (kept / DOCUMENT_FILE).exists():
            if key is not None:
                require_bound(kept, request, key)
            found = load_run(kept, architecture)
            role = found.checkpoint.provenance.role
            if role != "retrained":
                raise AuditError(
                    f"{kept} holds a network that is {role}; expected the retrained one that an earlier audit kept "
                    "there (remove the folder to retrain it)"
                )
            if weights_digest(found.checkpoint.model) not in digests:
                stage(f"retrained network {len(networks) + 1} of {count} is kept in {kept}")
                networks.append(found)
            continue
        seconds = original.provenance.seconds
        stage(f"retraining network {len(networks) + 1} of {count} (the original took {seconds:,.0f} s)")
        made = unlearn_original(original, splits, request, method, dataclasses.replace(run, seed=seed))
        folder.mkdir(parents=True, exist_ok=True)
        save_run(kept, made)
        if key is not None:
            bind_request(kept, request, key)
        networks.append(made)
    return networks
