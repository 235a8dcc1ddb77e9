"""A new record for a network."""

import secrets
from dataclasses import replace
from pathlib import Path

from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.checkpoints.run_folder import load_run, save_run
from obliq.errors import RecordError
from obliq.exporting import export_file, format_named, sha256_of
from obliq.io.atomic import new_folder, refuse_existing_folder
from obliq.quantization import weights_digest
from obliq.record.certificate.make import read_private_key
from obliq.record.encryption import require_cryptography
from obliq.record.events import Begun
from obliq.record.folder import BATCHES, KEYS_DOCUMENT, KEYS_PLACE, ORIGINAL, REQUESTS, KeysPlace, keys_beside
from obliq.record.keys_folder import Keys, KeysOwner
from obliq.record.log import LOG_FILE, writing
from obliq.record.method_settings import method_of
from obliq.record.policy import Policy
from obliq.record.references import require_method, require_possible, require_way
from obliq.record.state import RecordState
from obliq.run import utc_now
from obliq.workflow.loaded_network import INCLUDED
from obliq.workflow.pipeline import same_partition, source_now


def create_record(
    out: Path,
    original: Path,
    policy: Policy,
    actor: str,
    *,
    keys: Path | None = None,
    certificate_key: Path | None = None,
    from_weights: str = "",
    data: str | None = None,
    data_folder: Path | None = None,
    architecture: str | None = None,
) -> RecordState:
    """Create a record for a network whose data can be read. It appears when it is complete.

    Args:
        out: new folder.
        original: folder of the network, as `obliq train` or `obliq adopt` wrote it; it is copied.
        policy: the rules.
        actor: who creates it.
        keys: where keys will be; next to the record when left out.
        certificate_key: file of a private key that signs certificates; its place is kept for `obliq record run`, and
            the rules get its fingerprint.
        from_weights: file of the weights that the training of the network began with, for rules that need it; its place
            is kept likewise.
        data: see `obliq.workflow.pipeline.same_partition`; the record keeps where the data were found.
        data_folder: where the files of a built-in set are.
        architecture: see `obliq.checkpoints.load_checkpoint`.

    Raises:
        RecordError: when the network is no original, or the rules do not fit it.
        DataError: when its data are not found or are no longer the same.
        ModelError: when it cannot be exported.
    """
    if out.exists() or out.is_symlink():
        raise RecordError(f"{out} exists already; expected the name of a new folder (--out)")
    refuse_existing_folder(out, overwrite=False)
    keys = _place_for_keys(out, keys)
    require_cryptography()
    method_of(policy.method, policy.settings)
    if certificate_key is not None:
        fingerprint = read_private_key(certificate_key).public.fingerprint
        policy = replace(policy, certificate_key=fingerprint)
    kind = format_named(policy.format)
    kind.require_packages(runs=True)
    _require_way(original, policy)
    run = load_run(original, architecture)
    saved = run.checkpoint
    if saved.provenance.role != "original":
        raise RecordError(f"{original} holds a network that is {saved.provenance.role}; expected an original")
    require_possible(saved, policy, from_weights)
    parts = same_partition(saved, data_folder, data)
    run = replace(run, checkpoint=replace(saved, source=source_now(saved, parts)))
    content = export_file(
        saved.model, saved.blueprint.input_shape, to=policy.format, inputs=saved.provenance.inputs
    )
    begun = Begun(
        record=secrets.token_hex(16),
        network=weights_digest(saved.model),
        partition=saved.provenance.partition_digest,
        data=saved.provenance.data,
        released=sha256_of(content),
        policy=policy,
    )
    with new_folder(out) as draft:
        save_run(draft / ORIGINAL, run)
        with new_folder(draft / BATCHES / "0" / "exported") as exported:
            (exported / f"network{kind.suffix}").write_bytes(content)
        (draft / REQUESTS).mkdir()
        place = KeysPlace(
            folder="" if keys == keys_beside(out) else str(keys),
            certificate_key="" if certificate_key is None else str(certificate_key.resolve()),
            from_weights=from_weights
            if from_weights in ("", INCLUDED)
            else str(Path(from_weights).resolve()),
        )
        if place != KeysPlace():
            KEYS_DOCUMENT.write(draft / KEYS_PLACE, place, private=True)
        with writing(draft / LOG_FILE) as log:
            entries = log.append(utc_now().isoformat(), actor, [begun])
        draft.chmod(0o700)
    state = RecordState.of(entries)
    Keys(keys).bind(KeysOwner(record=begun.record, head=state.head, entries=len(entries)))
    return state


def _place_for_keys(record: Path, given: Path | None) -> Path:
    """Where the keys of a new record will be: a folder of their own, which no backup of the record holds."""
    keys, folder = (given or keys_beside(record)).resolve(), record.resolve()
    if keys.is_relative_to(folder) or folder.is_relative_to(keys):
        raise RecordError(
            f"--keys {keys} and the record {folder} lie in one another; expected a folder outside of the record, whose "
            "backups must not hold the keys"
        )
    if keys.exists() and (not keys.is_dir() or any(keys.iterdir())):
        raise RecordError(
            f"{keys} is there already and is no empty folder; expected a new or an empty folder for the keys of this "
            "record alone (--keys FOLDER)"
        )
    return keys


def _require_way(original: Path, policy: Policy) -> None:
    """Refuse references that cannot be retrained before the network is loaded, which may take minutes."""
    file = original / DOCUMENT_FILE
    if original.is_file():
        raise RecordError(
            f"{original} is a file; expected the folder of a network, as `obliq train` or `obliq adopt` wrote it. A "
            "file alone cannot have a record: `obliq unlearn` answers requests for a file of another tool"
        )
    if file.is_file():
        provenance = NETWORK_DOCUMENT.read(file).provenance
        require_way(provenance, policy)
        require_method(provenance, policy)
