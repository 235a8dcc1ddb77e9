"""Files for devices, from networks that a caller has: an exported network, and the patch from one to another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from torch import Tensor, nn

from obliq.argument_types import require_flags, require_whole_numbers
from obliq.data import DataLike, as_examples
from obliq.data.datasets import data_label
from obliq.data.input_contract import InputContract
from obliq.errors import ModelError, ObliqError, PatchError
from obliq.exporting import (
    SUFFIXES,
    ParityRecord,
    check,
    export_file,
    format_named,
    record_parity,
    write_parity_record,
)
from obliq.io.atomic import refuse_existing_file, write_file, write_files
from obliq.patch import (
    Content,
    PatchHead,
    content_digest,
    decode_patch,
    encode_patch,
    encryption,
    network_content,
    network_state,
    read_patch_file,
    read_patch_head,
)
from obliq.patch.difference import expiry_seconds
from obliq.patch.expiry import require_unexpired
from obliq.quantization import float_state, integer_state, load_integer_state
from obliq.workflow.patch_targets import find_artifact


def export(
    model: nn.Module,
    file: str | Path,
    example: Tensor | DataLike,
    *,
    form: str = "integer",
    check_on: DataLike | None = None,
    overwrite: bool = False,
) -> ParityRecord:
    """Write a quantized network as a file that a device runs.

    The suffix is `.onnx` for ONNX Runtime, `.pte` for ExecuTorch, or `.c` for a C compiler.

    Args:
        model: a network of `quantize` or `create_network` with the `deploy` preset, calibrated or trained.
        file: where to write; its suffix decides the format.
        example: inputs (samples, ...) or samples of any accepted kind. Only their shape matters, which the file
            expects, and how they are scaled and what their classes are called, which its metadata state.
        form: `integer` for 8-bit codes; for ONNX also `compact`, weights packed in 4 or 2 bits, and `float`.
        check_on: samples to run file and network on. The agreement is returned, and written next to the file
            as FILE.parity.json. A C file is not run here.
        overwrite: whether files that exist may be replaced.

    Returns:
        Digest and size of the file, and its agreement with the network where it was measured.

    Raises:
        ModelError: naming a layer that cannot be exported, and for an extra that is not installed (`onnx` for
            ONNX, `executorch` for ExecuTorch).
        DataError: for samples that cannot be read.
        ObliqError: for a file that exists or cannot be written, and for an argument of another type.

    Example:
        >>> import obliq
        >>> data = obliq.load_dataset("digits")
        >>> network = obliq.create_network("convnet", data.sample_shape, data.classes, precision="W4A4")
        >>> network = obliq.calibrate(network, data)
        >>> obliq.export(network, "digits.onnx", data, check_on=data)  # doctest: +SKIP
    """
    require_flags(overwrite=overwrite)
    path = Path(file)
    proof = path.with_name(f"{path.name}.parity.json")
    if path.suffix not in SUFFIXES:
        raise ModelError(f"{path} ends in {path.suffix!r}; expected one of {', '.join(SUFFIXES)}")
    kind = format_named(path.suffix)
    if form not in kind.forms:
        raise ModelError(f"form {form!r} for {kind.title}; expected {', '.join(kind.forms)}")
    if check_on is not None:
        kind.require_read()
    for written in (path, proof) if check_on is not None else (path,):
        refuse_existing_file(written, overwrite=overwrite)
    shape, contract = _shape_of(example)
    content = export_file(model, shape, form, to=kind.format, inputs=contract)
    checks = {}
    if check_on is not None:
        examples = as_examples(check_on, "check_on")
        checks = {data_label(examples.collection.name): check(model, content, examples.inputs())}
    record = record_parity(model, shape, content, form, checks, contract)
    measured = {proof: write_parity_record(record)} if checks else {}
    write_files({**measured, path: content}, overwrite=overwrite)
    return record


def make_patch(
    before: nn.Module | str | Path,
    after: nn.Module | str | Path,
    file: str | Path,
    *,
    key: bytes | None,
    sequence: int = 1,
    expires: datetime | None = None,
    overwrite: bool = False,
) -> PatchHead:
    """Write the integers in which two networks of one form differ as a small file for devices.

    Anyone with the old network and the patch can find out what was forgotten, so a key is expected.

    Args:
        before: what devices hold: a quantized network, or the path of an exported file or of a saved network.
        after: what they shall hold, of the same kind and form.
        file: where to write the patch.
        key: 32 random bytes to encrypt it with (extra `patch`), such as `secrets.token_bytes(32)`; None for a patch
            that is not encrypted.
        sequence: its number. A device refuses a number that is not above its last one, so that nobody can bring
            erased weights back.
        expires: from when on devices with a clock refuse it: a time in whole seconds with a time zone, such as
            `datetime(2030, 1, 31, tzinfo=UTC)`. None for a patch that does not expire.
        overwrite: whether a file that exists may be replaced.

    Returns:
        What the head of the patch states: digests of both networks, its number and its size in bytes.

    Raises:
        PatchError: for networks of different kinds or forms, a number outside 1 to 2^32 - 1, and a time that has
            passed.
        ObliqError: for a file that exists or cannot be written, and for an argument of another type.

    Example:
        >>> import obliq
        >>> data = obliq.load_dataset("digits")
        >>> before, after = (
        ...     obliq.calibrate(obliq.create_network("convnet", (1, 8, 8), 10, precision="W4A4", seed=seed), data)
        ...     for seed in (0, 1)
        ... )
        >>> obliq.make_patch(before, after, "forget.patch", key=None, sequence=2).sequence
        2
    """
    require_flags(overwrite=overwrite)
    require_whole_numbers(sequence=sequence)
    path = Path(file)
    refuse_existing_file(path, overwrite=overwrite)
    if isinstance(before, nn.Module) != isinstance(after, nn.Module):
        raise PatchError("one network is a module and the other one a path; expected two of one kind")
    if expires is not None and expiry_seconds(expires) <= datetime.now(UTC).timestamp():
        raise PatchError(f"expires {expires.isoformat()} has passed; expected a time in the future")
    patch = encode_patch(_content_of(before), _content_of(after), sequence, expires)
    data = patch if key is None else encryption.seal(patch, key)
    head = replace(read_patch_head(patch), bytes=len(data))  # before a file is there that cannot be read
    write_file(path, data, overwrite=overwrite)
    return head


def apply_patch(
    model: nn.Module,
    file: str | Path,
    *,
    floor: int = 0,
    key: bytes | None = None,
    allow_expired: bool = False,
) -> nn.Module:
    """Return the network that a patch leads to; devices do the same with exported files.

    Args:
        model: the network that the patch was made from.
        file: the patch.
        floor: the number of the last patch that was applied; only higher numbers are accepted.
        key: the 32 bytes that it was encrypted with, if it was.
        allow_expired: apply it although it has expired by the clock of this machine.

    Returns:
        A new network; the given one is left as it was.

    Raises:
        PatchError: for a patch that is damaged, encrypted, expired, for another network, or not above the floor.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> data = obliq.load_dataset("digits")
        >>> before, after = (
        ...     obliq.calibrate(obliq.create_network("convnet", (1, 8, 8), 10, precision="W4A4", seed=seed), data)
        ...     for seed in (0, 1)
        ... )
        >>> head = obliq.make_patch(before, after, "forget.patch", key=None, sequence=2)
        >>> patched = obliq.apply_patch(before, "forget.patch", floor=1)
        >>> obliq.weights_digest(patched) == obliq.weights_digest(after)
        True
    """
    require_flags(allow_expired=allow_expired)
    require_whole_numbers(floor=floor)
    try:
        data = read_patch_file(Path(file))
    except ObliqError as error:
        raise PatchError(f"{file}: {error}") from error
    if key is None and encryption.is_sealed(data):
        raise PatchError(f"{file} is encrypted; expected key=...")
    patch = data if key is None else encryption.unseal(data, key)
    now = datetime.now(UTC)
    if not allow_expired:
        require_unexpired(read_patch_head(patch), now, "allow_expired=True")
    content = decode_patch(patch, _content_of(model), floor, None if allow_expired else now)
    integers, floats = network_state(content, integer_state(model), float_state(model))
    patched = load_integer_state(model, integers, floats)
    if content_digest(_content_of(patched)) != content_digest(content):
        raise ModelError("the patched network does not hold the integers that it was given")
    return patched


def _shape_of(example: Tensor | DataLike) -> tuple[tuple[int, ...], InputContract | None]:
    """The shape of one input; and how stored values become inputs, where the samples state it."""
    if isinstance(example, Tensor):
        return tuple(example.shape[1:]), None
    collection = as_examples(example, "example").collection
    contract = InputContract.of(collection)
    if not collection.class_names:  # the network may distinguish more classes than occur in these samples
        contract = replace(contract, class_names=())
    return contract.shape, contract


def _content_of(network: nn.Module | str | Path) -> Content:
    if isinstance(network, nn.Module):
        return network_content(integer_state(network), float_state(network))
    return find_artifact(Path(network)).content
