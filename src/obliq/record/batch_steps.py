"""The steps of a batch: what each writes into a folder, and the event that its folder leads to.

`obliq.record.jobs` takes them one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.auditing.measurement import LONGEST_LINE
from obliq.checkpoints import Checkpoint
from obliq.checkpoints.run_folder import SavedRun, load_run
from obliq.data import Partition
from obliq.errors import RecordError
from obliq.exporting import export_file, format_named, open_exported, read_exported
from obliq.io.ownership import digest_of_file
from obliq.io.utc import utc_text
from obliq.patch import encode_patch
from obliq.record.batch_events import Audited, Exported, MadePatch, Patched, Retrained, Unlearned
from obliq.record.cases import Batch
from obliq.record.computing import BatchInputs, Computer, ThisMachine, WantedNetwork, write_network
from obliq.record.events import Event
from obliq.record.folder import ORIGINAL, Record
from obliq.record.found_results import (
    recorded_network,
    require_audit_of,
    require_export_of,
    require_network_of,
    verdict_of,
)
from obliq.record.method_settings import method_of
from obliq.record.references import Retrainer, require_no_twin
from obliq.record.state import RecordState
from obliq.run import Run
from obliq.workflow.compare_files import retrained_name
from obliq.workflow.pipeline import AUDIT, write_report_files
from obliq.workflow.report_context import report_context
from obliq.workflow.retrained_networks import RETRAINED

Seal = Callable[[str, bytes], dict[str, bytes]]
"""From the name of a patch and its bytes to the files to write, by name."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What the steps of a batch need.

    Attributes:
        record: the record.
        original: the network before all requests.
        parts: its data.
        run: device and listener; the seed is that of the plan.
        actor: who runs it.
        operator: who answers for it, as audit and certificates state; the one who runs it when empty.
        stage: hears which step begins.
        architecture: see `obliq.checkpoints.load_checkpoint`.
        seal: encrypts and signs patches.
        expires: from when on devices with a clock refuse them; None for patches that do not expire.
        clock: gives the time, with a time zone.
        retrainer: retrains references.
        computer: where networks and audits are computed.
    """

    record: Record
    original: Checkpoint
    parts: Partition
    run: Run
    actor: str
    operator: str = ""
    stage: Callable[[str], None]
    architecture: str | None = None
    seal: Seal = lambda name, patch: {name: patch}
    expires: datetime | None = None
    clock: Callable[[], datetime]
    retrainer: Retrainer
    computer: Computer = field(default_factory=ThisMachine)


@dataclass(frozen=True)
class BatchStep:
    """One step of a batch.

    Attributes:
        name: of its folder.
        words: what progress shows.
        write: writes the result into an empty folder.
        read: from the complete folder to the event.
        check: refuses a folder that is not the result of this step, left by an earlier process or just written; None
            where a folder that was left is written again, which takes seconds.
    """

    name: str
    words: str
    write: Callable[[Path], None]
    read: Callable[[Path], Event]
    check: Callable[[Path], None] | None


@dataclass(frozen=True)
class BatchSteps:
    """The steps of one batch, as its state demands them.

    Attributes:
        worker: what they need.
        state: of the record.
        batch: the batch.
        inputs: what its networks are computed from.
    """

    worker: Worker
    state: RecordState
    batch: Batch
    inputs: BatchInputs

    @property
    def base(self) -> str:
        """Weights digest of the original."""
        return self.state.begun.network

    def next(self) -> BatchStep | None:
        """The first step that is not done; None at the end, and where the batch must not go on."""
        batch, policy = self.batch, self.state.begun.policy
        if batch.refusal or batch.patched or batch.abandoned:
            return None
        if batch.unlearned is None:
            return self._unlearning()
        missing = [number for number in range(1, policy.references + 1) if number not in batch.retrained]
        if missing:
            return self._retraining(missing, policy.references)
        if batch.exported is None:
            return self._exporting(policy.format)
        return self._auditing(policy.references) if batch.audited is None else self._patching()

    def _unlearning(self) -> BatchStep:
        planned = self.batch.planned
        wanted = WantedNetwork(
            name="unlearned", method=method_of(planned.method, planned.settings), seed=planned.seed
        )

        def write(folder: Path) -> None:
            write_network(folder, self.worker.computer.network(self.inputs, [wanted]))

        def read(folder: Path) -> Event:
            digest, found = recorded_network(folder)
            failures = found.gate.failures if found.gate else ()
            return Unlearned(
                batch=self.batch.number, network=digest, base=found.base_digest or "", failures=failures
            )

        def check(folder: Path) -> None:
            require_network_of(folder, planned.splits, self.base, wanted)

        words = f"unlearning {len(self.inputs.splits.forget):,} samples by {planned.method}"
        return BatchStep(wanted.name, words, write, read, check)

    def _retraining(self, missing: Sequence[int], count: int) -> BatchStep:
        splits, number = self.batch.planned.splits, missing[0]
        method = self.worker.retrainer.method(self.worker.original)
        wanted = [
            WantedNetwork(name=f"retrained-{one}", method=method, seed=self._seed_of(one)) for one in missing
        ]

        def write(folder: Path) -> None:
            found = self._reference(wanted, number)
            seen = (self.inputs.original, self._network("unlearned").checkpoint)
            require_no_twin(found, number, self.batch.retrained, seen)
            write_network(folder, found)

        def read(folder: Path) -> Event:
            return Retrained(batch=self.batch.number, number=number, network=recorded_network(folder)[0])

        def check(folder: Path) -> None:
            require_network_of(folder, splits, self.base, wanted[0])

        return BatchStep(wanted[0].name, f"retraining reference {number} of {count}", write, read, check)

    def _reference(self, wanted: Sequence[WantedNetwork], number: int) -> SavedRun:
        """The first of these networks; in a way of the user's own, it is retrained on this machine."""
        if wanted[0].method is not None:
            return self.worker.computer.network(self.inputs, wanted)
        return self.worker.retrainer.retrain(self.inputs, wanted[0].seed, number)

    def _seed_of(self, number: int) -> int:
        """The seed of a reference."""
        drawn = replace(self.worker.run, seed=self.batch.planned.seed)
        return drawn.generator(purpose=RETRAINED + number).initial_seed() % 2**32

    def _exporting(self, format_: str) -> BatchStep:
        name = f"network{format_named(format_).suffix}"

        def write(folder: Path) -> None:
            saved = self._network("unlearned").checkpoint
            shape, inputs = saved.blueprint.input_shape, saved.provenance.inputs
            (folder / name).write_bytes(export_file(saved.model, shape, to=format_, inputs=inputs))

        def read(folder: Path) -> Event:
            file = read_exported(folder / name)
            return Exported(batch=self.batch.number, file=file.file_digest, content=file.content_digest)

        def check(folder: Path) -> None:
            require_export_of(folder / name, self._network("unlearned").checkpoint)

        return BatchStep("exported", "exporting the file for devices", write, read, check)

    def _auditing(self, references: int) -> BatchStep:
        def write(folder: Path) -> None:
            audited = {"unlearned": self._network("unlearned")}
            for number in range(1, references + 1):
                audited[retrained_name(number)] = self._network(f"retrained-{number}")
            file = open_exported(self.worker.record.released(self.batch.number))
            measured = self.worker.computer.audit(self.inputs, audited, file)
            cases = ", ".join(self.batch.planned.cases)
            if len(cases) > LONGEST_LINE:
                cases = f"{len(self.batch.planned.cases)} cases of batch {self.batch.number}"
            measured = replace(measured, case=cases, operator=self.worker.operator or self.worker.actor)
            original = load_run(self.worker.record.folder / ORIGINAL, self.worker.architecture)
            context = report_context(original, audited, self.inputs.request.selector)
            write_report_files(measured, folder, context)

        def read(folder: Path) -> Event:
            verdict = verdict_of(AUDIT_DOCUMENT.read(folder / AUDIT))
            return Audited(batch=self.batch.number, verdict=verdict, audit=digest_of_file(folder / AUDIT))

        def check(folder: Path) -> None:
            require_audit_of(folder, self.batch, self.base)

        return BatchStep("audit", "auditing network and file", write, read, check)

    def _patching(self) -> BatchStep:
        record, number, bases = self.worker.record, self.batch.number, self.state.released

        def write(folder: Path) -> None:
            expires = self.worker.expires
            if expires is not None and expires <= self.worker.clock():  # the steps before may have taken days
                raise RecordError(
                    f"the patches were to expire at {utc_text(expires)}, which has passed; expected --expires with a "
                    "later time (the steps before are kept)"
                )
            new = read_exported(record.released(number)).content
            for base in bases:
                old = read_exported(record.released(base)).content
                patch = encode_patch(old, new, number, expires)
                for name, content in self.worker.seal(patch_name(base), patch).items():
                    (folder / name).write_bytes(content)

        def read(folder: Path) -> Event:
            made = [MadePatch(base=base, file=digest_of_file(folder / patch_name(base))) for base in bases]
            return Patched(batch=number, patches=tuple(made))

        words = "making the patch" if len(bases) == 1 else f"making patches from {len(bases)} earlier files"
        return BatchStep("patches", words, write, read, check=None)

    def _network(self, name: str) -> SavedRun:
        return load_run(self.worker.record.batch(self.batch.number) / name, self.worker.architecture)


def patch_name(base: int) -> str:
    """Name of the patch from the file of a batch; 0 for the file of the original."""
    return f"from-{base}.patch"
