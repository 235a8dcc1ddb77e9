"""`obliq record run`: everything that is due, from the requests that wait to the patches for devices."""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from obliq.cli.options import ComputeOptions, DataOptions, Expiry, File, Flag, RayAddress
from obliq.cli.record.options import (
    Actor,
    Reason,
    RecordOptions,
    load_data,
    open_record,
)
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import ObliqError, RecordError

if TYPE_CHECKING:
    from obliq.io.keys import PrivateKey
    from obliq.record.batch_steps import Seal
    from obliq.record.computing import Computer
    from obliq.record.events import Event
    from obliq.record.folder import Record
    from obliq.record.references import Retrainer
    from obliq.record.state import RecordState


@dataclass(frozen=True, kw_only=True)
class RecordRunArguments(RecordOptions):
    """Answer all requests that wait, together.

    Example: obliq record run record --by "A. Example"

    All approved requests are answered by one network, which is unlearned from the original without the samples of these
    and of all earlier requests. Then references are retrained, the file for devices is exported, both are audited, and
    a patch is made from every file that devices may run.

    If the process is killed, the same command goes on: finished steps are kept, and no step is done twice. References
    are retrained by the recipe of the original, or in the way that `obliq record init` named.

    Attributes:
        operator: Who answers for the requests, if that is not the person who runs this. Audit and certificates name
            this person. Pass it again if the run was killed.
        method: Another method than that of the rules, for a new batch.
        settings: Other settings of the method, such as epochs=8.
        accept: Go on although the network failed its gate or the audit refused it, and why. The log keeps it.
        again: Give up the batch that is under way, and why; its requests are answered again.
        with_: Your own training for the references, as module:function, if the rules name it. Obliq never runs code
            because a record names it. Such a training cannot be continued: after a kill it starts again.
        weights: Networks that you retrained without the samples of the batch, as .safetensors or .pt, one for each
            reference, if the rules state that you retrain them. Pass all of them again if the run was killed.
        retain_ids: For such rules, only plan the batch, and write the ids of the samples to train on into this new
            file. It reveals who is to be forgotten.
        from_weights: The weights that the training of the original began with, if they were moved.
        key_file: Encrypt the patches with the 32 bytes in this file, which only you may read and write. By default
            with a key of the record, fleet.key in the folder of the keys, which devices need.
        plain: Do not encrypt the patches.
        expires: Time from which on devices with a clock refuse the patches, in UTC: a day such as 2030-01-31 (from its
            first second on), or 2030-01-31T12:00:00Z. By default they do not expire. The plan of the batch keeps the
            time for later runs, and for the batch that takes its place after --again.
        sign: Sign the patches with this Ed25519 private key (PEM).
        certificate_key: Sign certificates with this private key (PEM, Ed25519 or ECDSA P-256). By default, the one that
            `obliq record init` named.
        allow_readable_key: Use a key although others may read or write its file.
    """

    by: Actor
    operator: Annotated[str, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ""
    method: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    settings: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE [NAME=VALUE ...]", help_behavior_hint="")
    ] = ()
    accept: Reason = ""
    again: Reason = ""
    with_: Annotated[
        str | None, tyro.conf.arg(name="with", metavar="MODULE:FUNCTION", help_behavior_hint="")
    ] = None
    weights: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE [FILE ...]", help_behavior_hint="")] = ()
    retain_ids: File = None
    from_weights: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    key_file: File = None
    plain: Flag = False
    expires: Expiry = None
    sign: File = None
    certificate_key: File = None
    allow_readable_key: Flag = False
    ray: RayAddress = None
    data: DataOptions = field(default_factory=DataOptions)
    compute: ComputeOptions = field(default_factory=ComputeOptions)


def run_record_run(arguments: RecordRunArguments, progress: StageListener) -> VerbOutput:
    """Plan a batch, or go on with the one that is under way."""
    from obliq.auditing.measurement import require_one_line
    from obliq.cli.computation import start_run
    from obliq.cli.patch_files import clock, expiry_of
    from obliq.cli.record.run_output import answered_output, nothing_due_output, planned_output
    from obliq.io.lock import locked
    from obliq.record.batch_events import Abandoned
    from obliq.record.batch_steps import Worker
    from obliq.record.batches import Choices, chosen_expiry, chosen_method, plan
    from obliq.record.issuing import issue_certificates
    from obliq.record.jobs import work
    from obliq.record.method_settings import method_of, parse_settings
    from obliq.record.tidying import tidy

    require_one_line(operator=arguments.operator)  # before hours of work, not after
    record, given = open_record(arguments), expiry_of(arguments.expires)
    compute = arguments.compute
    run = start_run(replace(compute, device="auto") if arguments.ray else compute, progress)
    settings = parse_settings(arguments.settings) if arguments.settings else None
    with locked(record.folder, "one `obliq record run` at a time"), ExitStack() as opened:
        with record.appending() as appending:
            tidy(record, appending.state)
        seal = _sealing(record, arguments)
        signing, lacking = _signing(record, arguments)
        state = record.state()
        retrainer = _retrainer(record, state, arguments)
        decision = _decision(state, arguments)
        if not state.is_due:
            before = {batch.number for batch in state.uncertified}
            state = issue_certificates(record, signing, arguments.by, arguments.data.arch)
            issued = [batch for batch in state.batches if batch.certified and batch.number in before]
            return nothing_due_output(record, issued, lacking, arguments)
        expires = chosen_expiry(state, given, clock(), again=isinstance(decision, Abandoned))
        choices = Choices(method=arguments.method, settings=settings, seed=run.seed, expires=expires)
        if isinstance(decision, Abandoned):
            method_of(*chosen_method(state.begun.policy, choices))
        original, parts = load_data(record, arguments.data)
        if arguments.retain_ids is None:
            under_way = None if isinstance(decision, Abandoned) else state.under_way
            retrainer.require_ready(original, parts.train, under_way)
        computer = opened.enter_context(_computer(arguments, progress))
        if decision is not None:
            with record.appending() as appending:
                tidy(record, appending.append(arguments.by, decision))
        batch = plan(record, parts, choices, arguments.by)
        if arguments.retain_ids is not None:
            return planned_output(record, parts, batch, expires, arguments)
        worker = Worker(
            record=record,
            original=original,
            parts=parts,
            run=run,
            actor=arguments.by,
            operator=arguments.operator,
            stage=progress.stage,
            architecture=arguments.data.arch,
            seal=seal,
            expires=expires,
            clock=clock,
            retrainer=retrainer,
            computer=computer,
        )
        work(worker, batch.number)
        state = issue_certificates(record, signing, arguments.by, arguments.data.arch)
    return answered_output(record, state, state.batch(batch.number), expires, lacking, arguments)


def _computer(arguments: RecordRunArguments, progress: StageListener) -> AbstractContextManager["Computer"]:
    """Where networks and audits are computed; a cluster that cannot be used is known before any long work."""
    from obliq.record.computing import ThisMachine

    if arguments.ray is None or arguments.retain_ids is not None:
        return nullcontext(ThisMachine())
    from obliq.record.cluster import RayCluster

    progress.stage(f"joining the Ray cluster at {arguments.ray}")
    return RayCluster(arguments.ray, device=arguments.compute.device, note=progress.print_line)


def _retrainer(record: "Record", state: "RecordState", arguments: RecordRunArguments) -> "Retrainer":
    """What retrains references, from the rules and the options."""
    from obliq.io.atomic import refuse_existing_file
    from obliq.record.references import Retrainer

    found = Retrainer(
        policy=state.begun.policy,
        function=arguments.with_,
        files=arguments.weights,
        start=arguments.from_weights or record.from_weights,
    )
    if arguments.retain_ids is not None:
        if not found.needs_files:
            raise RecordError(
                "--retain-ids is for a record whose references you retrain yourself (`obliq record init --weights`); "
                "expected no such option"
            )
        refuse_existing_file(arguments.retain_ids, overwrite=False)
    return found


def _decision(state: "RecordState", arguments: RecordRunArguments) -> "Event | None":
    """What is to be noted of a refused batch: that it goes on, or is given up. None where it was noted before.

    It is noted only after everything that the run needs is loaded, so that a refusal leaves the record as it was.
    """
    from obliq.record.batch_events import Abandoned, Tolerated

    batch, accept, again = state.last_batch, arguments.accept, arguments.again
    if accept and again:
        raise RecordError("--accept and --again together; expected one of them")
    if not (accept or again):
        return None
    given_up = [one.abandoned for one in state.batches[-2:] if one.abandoned]
    if again and batch is not None and not (batch.patched or batch.refusal) and again in given_up:
        return None
    if batch is None or batch.patched or batch.abandoned:
        raise RecordError("no batch is under way; expected neither --accept nor --again")
    if again:
        return Abandoned(batch=batch.number, reason=again)
    if batch.refusal:
        return Tolerated(batch=batch.number, reason=accept)
    if accept in batch.tolerated.values():
        return None
    raise RecordError(f"batch {batch.number} was not refused; expected no --accept")


def _sealing(record: "Record", arguments: RecordRunArguments) -> "Seal":
    """What encrypts and signs patches; wrong keys and missing packages are known before any long work."""
    from obliq.cli.patch_files import encryption_key, signature_of
    from obliq.patch import encryption, signing
    from obliq.record.keys_folder import FLEET_KEY

    others = arguments.allow_readable_key
    if arguments.plain and arguments.key_file is not None:
        raise RecordError("--key-file and --plain together; expected one of them")
    key = encryption_key(arguments.key_file, allow_others=others)
    if key is None and not arguments.plain:
        key = record.keys.read_or_create(FLEET_KEY)
    signature_of(b"", arguments.sign, allow_others=others)

    def seal(name: str, patch: bytes) -> dict[str, bytes]:
        data = patch if key is None else encryption.seal(patch, key)
        signature = signature_of(data, arguments.sign, allow_others=others)
        return {name: data} | (
            {} if signature is None else {signing.signature_file(Path(name)).name: signature}
        )

    return seal


def _signing(record: "Record", arguments: RecordRunArguments) -> "tuple[PrivateKey | None, str]":
    """The key that signs certificates, or why there is none although the rules name one: that stops nothing else.

    A key that was named now must be there, since the person waits for its certificates.
    """
    from obliq.record.issuing import signing_key

    try:
        return signing_key(record, arguments.certificate_key, allow_others=arguments.allow_readable_key), ""
    except ObliqError as error:
        if arguments.certificate_key is not None:
            raise
        return None, str(error)


RUN = Verb(RecordRunArguments, run_record_run, is_hidden=lambda arguments: arguments.ray is not None)
