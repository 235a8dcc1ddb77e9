"""Every format that a file from outside may have: a sound file, how it is altered, and what reads it.

`benchmarks/mutations.py` reads tens of thousands of altered files of each, and `test_formats.py` a few.
"""

import io
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256, shake_128
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from obliq.auditing import parse_audit, render_audit
from obliq.checkpoints.run_folder import load_run
from obliq.data.answers_file import read_answers
from obliq.data.image_folder import from_folder
from obliq.data.npz_file import from_npz
from obliq.data.request_file import REQUEST_DOCUMENT, Request, load_request
from obliq.errors import DataError
from obliq.exporting import ExportedFile, OwnFile, parse_exported
from obliq.io.budget import Budget
from obliq.io.isolated.job import Given
from obliq.io.isolated.pickled_arrays import pickled_arrays
from obliq.io.isolated.recordings import read_recordings
from obliq.models.weights_file import read_weights
from obliq.patch import decode_patch, encryption, read_patch_file, signing
from obliq.patch.decoder import PATCH_HEAD
from tests.hostile import executorch_files, sample
from tests.hostile.mutations import Choices, altered, altered_bytes, altered_header, altered_message
from tests.hostile.structures import (
    Structure,
    altered_array,
    altered_chunks,
    altered_entries,
    altered_lines,
    altered_opcodes,
    altered_pem,
    altered_values,
    altered_words,
)
from tests.patch.samples import sample_pair, sample_patch

KEY = bytes(range(32))


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: of the format.
        good: a sound file.
        structure: one alteration of a file's structure.
        read: what reads a file's content; raises where it refuses.
    """

    name: str
    good: bytes
    structure: Structure
    read: Callable[[bytes], object]

    def altered(self, choices: bytes) -> bytes:
        """The sound file after one to three alterations, which these bytes choose."""
        return altered(self.good, choices, self.structure)


def _use(file: ExportedFile) -> None:
    """What patches and `obliq unlearn` do with a file that was read."""
    if isinstance(file, OwnFile):
        assert file.content
    file.rebuild()


def _in(place: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Write the content to a place, and read that."""

    def written(content: bytes) -> object:
        place.write_bytes(content)
        return read(place)

    return written


def _npz(**arrays: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


def _picture(kind: str) -> bytes:
    made = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(values).save(made, kind)
    return made.getvalue()


def _state_dict() -> bytes:
    made = io.BytesIO()
    torch.save({"a.weight": torch.arange(12.0).view(3, 4), "a.bias": torch.zeros(3)}, made)
    return made.getvalue()


def _patch_structure(content: bytes, choices: Choices) -> bytes:
    """Another field or stream, by somebody who can compute sums."""
    if len(content) < PATCH_HEAD.size + 32:
        return altered_bytes(content, choices) if content else b"\x00"
    head, stream = content[: PATCH_HEAD.size], content[PATCH_HEAD.size : -32]
    if choices.below(2) and stream:
        stream = altered_bytes(stream, choices)
        fields = [*PATCH_HEAD.unpack(head)]
        head = PATCH_HEAD.pack(*fields[:-1], len(stream))
    else:
        head = altered_bytes(head, choices)
    return head + stream + sha256(head + stream).digest()


def formats(place: Path) -> Iterator[Format]:
    """All of them; files are written below `place`, an empty folder."""
    yield from _of_networks(place)
    yield from _of_data(place)
    yield from _of_patches(place)


def _of_networks(place: Path) -> Iterator[Format]:
    read_exported = lambda content: _use(parse_exported(content))  # noqa: E731 - one line, used three times
    yield Format("ONNX", sample.onnx_file("compact"), altered_message, read_exported)
    yield Format("ONNX of floats", sample.onnx_file("float"), altered_message, parse_exported)  # not rebuilt
    yield Format("ONNX of others", sample.quantizer_file(), altered_message, read_exported)
    if executorch_files.INSTALLED:
        yield Format("ExecuTorch", executorch_files.harmless(), altered_words, read_exported)
    folder = place / "network"
    sample.folder(folder)
    for name, structure in (("model.json", altered_values), ("model.safetensors", altered_header)):
        copy = Path(shutil.copytree(folder, place / f"network-{name}"))
        yield Format(
            name,
            (folder / name).read_bytes(),
            structure,
            _in(copy / name, lambda file: load_run(file.parent)),
        )
    made = _safetensors()
    yield Format("safetensors", made, altered_header, _in(place / "a.safetensors", read_weights))
    yield Format(".pt", _state_dict(), altered_entries(altered_opcodes), _in(place / "a.pt", read_weights))


def _safetensors() -> bytes:
    import safetensors.torch

    values = {"a.weight": torch.arange(128.0).view(16, 8), "a.bias": torch.zeros(16)}
    content: bytes = safetensors.torch.save(values)
    return content


def _of_data(place: Path) -> Iterator[Format]:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(12, 1, 4, 4)).astype(np.float32), np.arange(12) % 3
    people = np.array([f"p{number % 4}" for number in range(12)])
    yield Format(
        "npz",
        _npz(x=x, y=y, subject=people, id=np.arange(12)),
        altered_entries(altered_array),
        _in(place / "a.npz", lambda file: from_npz("npz:a", file)),
    )
    for kind, structure in (("PNG", altered_chunks), ("JPEG", altered_bytes)):
        pictures = place / kind
        for name in ("a", "b"):
            (pictures / name).mkdir(parents=True)
            (pictures / name / f"0.{kind.lower()}").write_bytes(_picture(kind))
        yield Format(
            f"folder of {kind}",
            _picture(kind),
            structure,
            _in(pictures / "a" / f"0.{kind.lower()}", lambda file: from_folder("folder:a", file.parents[1])),
        )
    batch = {
        "labels": [3, 1, 2],
        "data": draw.integers(0, 256, (3, 3072), dtype=np.uint8),
        "batch_label": b"one",
    }
    for protocol in (2, 4):
        yield Format(
            f"pickle {protocol} of CIFAR-10",
            pickle.dumps(batch, protocol=protocol),
            altered_opcodes,
            _read_pickle,
        )
    yield Format("recordings of watch", _recordings(), _altered_recordings, _read_recordings)
    request = Request(selector="subject=7", ids=tuple(range(0, 90, 3)), salt="ab" * 32, digest="cd" * 32)
    yield Format(
        "request.json",
        REQUEST_DOCUMENT.to_text(request).encode(),
        altered_values,
        _in(place / "request.json", load_request),
    )
    from tests.report.sample import sample_audit

    yield Format("audit.json", render_audit(sample_audit()).encode(), altered_values, _parse_audit)
    logits = draw.normal(size=(12, 3))
    lines = [",".join(map(repr, [number, *map(float, row)])) for number, row in enumerate(logits)]
    for suffix, content, structure in (
        ("npz", _npz(id=np.arange(12), logits=logits), altered_entries(altered_array)),
        ("csv", "\n".join(["id,logit_0,logit_1,logit_2", *lines]).encode(), altered_lines),
    ):
        yield Format(
            f"answers as .{suffix}",
            content,
            structure,
            _in(place / f"answers.{suffix}", lambda file: read_answers(file, 3)),
        )


def _read_pickle(content: bytes) -> object:
    return pickled_arrays("data_batch_1", content, Budget(len(content), DataError))


_NPY_HEADER = 128  # bytes before the pickle


def _recordings() -> bytes:
    held = np.empty((), object)
    held[()] = {
        "X": [np.asfortranarray(np.ones((length, 6))) for length in (5, 7)],
        "y": np.arange(2),
        "subject": np.arange(2),
        "y_labels": ["a", "b"],
    }
    out = io.BytesIO()
    np.save(out, held)
    return out.getvalue()


def _altered_recordings(content: bytes, choices: Choices) -> bytes:
    return content[:_NPY_HEADER] + altered_opcodes(content[_NPY_HEADER:], choices)


def _read_recordings(content: bytes) -> object:
    arguments = {"file": "watch_dataset.npy", "channels": 6}
    return read_recordings(Given(arguments, Budget(len(content), DataError), [content]))


def _parse_audit(content: bytes) -> object:
    return parse_audit(content.decode(errors="replace"))


def _of_patches(place: Path) -> Iterator[Format]:
    patch, (old, _) = sample_patch()[0], sample_pair()
    yield Format(
        "patch",
        patch,
        _patch_structure,
        _in(place / "a", lambda file: decode_patch(read_patch_file(file), old)),
    )
    try:
        sealed = encryption.seal(patch, KEY)
    except Exception:  # without the extra `patch`
        return

    def inner(content: bytes, choices: Choices) -> bytes:
        """Altered by somebody who has the key."""
        try:
            return encryption.seal(_patch_structure(encryption.unseal(content, KEY), choices), KEY)
        except Exception:
            return altered_bytes(content, choices) if content else b"\x00"

    yield Format(
        "sealed patch",
        sealed,
        inner,
        _in(place / "b", lambda file: decode_patch(encryption.unseal(read_patch_file(file), KEY), old)),
    )
    private, public = _keys()
    yield Format("private key", private, altered_pem, lambda content: signing.sign(b"patch", content))
    signature = signing.sign(b"patch", private)
    yield Format(
        "public key",
        public,
        altered_pem,
        lambda content: signing.require_signed(b"patch", signature, content),
    )
    yield Format(
        "signature",
        signature,
        altered_bytes,
        lambda content: signing.require_signed(b"patch", content, public),
    )


def _keys() -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.from_private_bytes(KEY)
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def choices(name: str, number: int) -> bytes:
    """The bytes that choose the alterations of one file of a format."""
    return shake_128(f"{name} {number}".encode()).digest(160)


def outcome_of(read: Callable[[], object]) -> str:
    """`accepted`, `refused`, or what went wrong: another exception, a warning, or a message of more than one line."""
    from obliq.errors import ObliqError

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read()
        except ObliqError as error:
            message = str(error)
            return "refused" if message.isprintable() and message else f"message {message!r}"
        except BaseException as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return "accepted"
