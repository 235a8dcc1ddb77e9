"""Weights and documents: headers that promise much, pickles that build much, JSON of many small values."""

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

MILLION = 1_000_000

Write = Callable[[Path], None]
"""Writes one file."""


def content(make: Callable[[], bytes]) -> Write:
    return lambda file: file.write_bytes(make()) and None


def _tensors(header: bytes, size: int = 0) -> Write:
    """A sparse file: a header, and zeros up to a size."""

    def write(file: Path) -> None:
        with file.open("wb") as opened:
            opened.write(header)
            opened.truncate(max(size, len(header)))

    return write


def _header(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _many_tensors() -> bytes:
    entries = {
        f"{index:x}": {"dtype": "U8", "shape": [1] * 8, "data_offsets": [0, 0]} for index in range(120_000)
    }
    return _header(json.dumps(entries, separators=(",", ":")))


def _shared_bytes() -> bytes:
    entries = {
        f"{index:x}": {"dtype": "U8", "shape": [MILLION], "data_offsets": [0, MILLION]}
        for index in range(9000)
    }
    return _header(json.dumps(entries)) + bytes(MILLION)


SAFETENSORS: dict[str, Write] = {
    "sparse file of 3 GB": _tensors(b"\xff" * 8, 3 * 2**30),
    "sparse file of 3 GB with an empty header": _tensors(_header("{}"), 3 * 2**30),
    "120,000 tensors": content(_many_tensors),
    "9,000 tensors on the same bytes": content(_shared_bytes),
    "header of lists in lists": content(lambda: _header("[" * (8 * MILLION))),
    "header of empty objects": content(lambda: _header('{"a":[' + "{}," * (2 * MILLION) + "{}]}")),
    "weights in a FIFO": os.mkfifo,
}


def _archive(pickled: bytes, *entries: tuple[str, bytes], packed: bool = False) -> Write:
    """A file of torch.save around any pickle."""

    def write(file: Path) -> None:
        kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        with zipfile.ZipFile(file, "w", kind, compresslevel=9 if packed else None) as archive:
            for name, data in (
                ("data.pkl", pickled),
                ("version", b"3\n"),
                ("byteorder", b"little"),
                *entries,
            ):
                archive.writestr(f"archive/{name}", data)

    return write


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _storage(elements: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    number = b"\x8a\x08" + struct.pack("<q", elements)
    return b"(" + _text("storage") + f"ctorch\n{kind}\n".encode() + _text(key) + _text("cpu") + number + b"tQ"


def _tensor(elements: int, shape: bytes, stride: bytes) -> bytes:
    """The opcodes of one tensor."""
    ends = b"\x89ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + _storage(elements) + b"K\0" + shape + stride + ends + b"tR"
    )


def _dict(*pairs: bytes) -> bytes:
    return b"\x80\x02}(" + b"".join(pairs) + b"u."


def _long(number: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", number)


def _nested_key() -> bytes:
    inner = b")q\0" + b"".join(
        b"h%c" % index + b"h%c" % index + b"\x86q%c" % (index + 1) for index in range(50)
    )
    return b"\x80\x02}" + inner + b"K\0s."


TORCH: dict[str, Write] = {
    "bytes that a pickle asks for": _archive(
        b"\x80\x02cbuiltins\nbytearray\n" + _long(6 * 2**30) + b"\x85R."
    ),
    "storage that unpacks to 2 GB": lambda file: _archive(
        _dict(_text("w"), _tensor(2**29, _long(2**29) + b"\x85", b"K\1\x85")),
        ("data/0", bytes(2**31)),
        packed=True,
    )(file),
    "pickle that unpacks to 1 GB": lambda file: _archive(b"\x80\x02" + b"]0" * 2**29 + b"].", packed=True)(
        file
    ),
    "storage larger than its entry": _archive(
        _dict(_text("w"), _tensor(2**31, _long(2**31) + b"\x85", b"K\1\x85")), ("data/0", bytes(16))
    ),
    "one number as a tensor of 4 GB": _archive(
        _dict(_text("w"), _tensor(1, _long(2**30) + b"\x85", b"K\0\x85")), ("data/0", bytes(4))
    ),
    "tensor without values": _archive(
        _dict(
            _text("w"),
            b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nfloat32\n"
            + _long(2**40)
            + b"\x85K\1\x85\x89tR",
        )
    ),
    "tuples of tuples as a key": _archive(_nested_key()),
    "3,000,000 dictionaries": lambda file: _archive(b"\x80\x02](" + b"}" * (3 * MILLION) + b"e.")(file),
    "4,000,000 lists in lists": lambda file: _archive(
        b"\x80\x02" + b"]" * (4 * MILLION) + b"a" * (4 * MILLION - 1) + b"."
    )(file),
    "80,000 entries": lambda file: _archive(_dict(), *((f"data/{index}", b"") for index in range(80_000)))(
        file
    ),
    "old format that claims 8 GB": content(
        lambda: (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
            b"\x80\x02M\xe9\x03."
            + b"\x80\x02}("
            + _text("little_endian")
            + b"\x88u."
            + b"\x80\x02}"
            + _text("w")
            + b"ctorch._utils\n_rebuild_tensor_v2\n("
            + b"("
            + _text("storage")
            + b"ctorch\nFloatStorage\n"
            + _text("0")
            + _text("cpu")
            + _long(2**31)
            + b"NtQ"
            + b"K\0"
            + _long(2**31)
            + b"\x85K\1\x85\x89ccollections\nOrderedDict\n)RtRs."
            + b"\x80\x02]"
            + _text("0")
            + b"a."
        )
    ),
    "old format as a tar": content(lambda: b"./".ljust(257, b"\0") + b"ustar".ljust(255, b"\0")),
}
"""State dicts as `.pt`."""


def objects(start: str, one: str, count: int, end: str) -> Write:
    """A document with many values of one form."""
    return content(lambda: (start + ",".join([one] * count) + end).encode())


def _names(count: int) -> Write:
    return content(lambda: ("{" + ",".join(f'"{index:x}":0' for index in range(count)) + "}").encode())


JSON: dict[str, Write] = {
    "empty objects": objects('{"format":[', "{}", 2_600_000, "]}"),
    "objects of one field": objects('{"format":[', '{"a":1}', MILLION, "]}"),
    "800,000 names": _names(700_000),
    "lists in lists": content(lambda: b'{"a":' + b"[" * (7 * MILLION)),
    "a number of many digits": content(lambda: b'{"a":' + b"9" * (7 * MILLION) + b"}"),
    "escaped halves of letters": objects('{"format":[', '"\\ud83d\\ude00"', 550_000, "]}"),
}
"""Documents of any kind, below the 8 MiB that are read."""


def _request(ids: str) -> bytes:
    digits = "0" * 64
    return (
        f'{{"format":"obliq-request","version":1,"selector":"ids=a","salt":"{digits}","digest":"{digits}","ids":[{ids}]}}'
    ).encode()


REQUESTS: dict[str, Write] = {
    "10 MB of ids": content(lambda: _request(",".join(map(str, range(1_350_000))))),
    "10 MB of one id": content(lambda: _request(",".join(["1"] * (5 * MILLION)))),
    "10 MB of empty objects": content(lambda: _request(",".join(["{}"] * 3_300_000))),
    "260 MB of ids": content(lambda: _request(",\n    ".join(map(str, range(MILLION, 21_000_000))))),
    "request in a FIFO": os.mkfifo,
}


def _patch(changed: int, stream: bytes, form: bytes, base: bytes) -> bytes:
    from hashlib import sha256

    from obliq.patch.decoder import PATCH_HEAD

    head = PATCH_HEAD.pack(b"OBQP", 1, 0, 5, form, base, bytes(32), changed, len(stream))
    return head + stream + sha256(head + stream).digest()


def _any_patch(stream: bytes, changed: int = 1) -> Callable[[], bytes]:
    return lambda: _patch(changed, stream, bytes(32), bytes(32))


def _sparse_patch(magic: bytes, size: int) -> Write:
    def write(file: Path) -> None:
        with file.open("wb") as opened:
            opened.write(magic)
            opened.truncate(size)

    return write


PATCHES: dict[str, Write] = {
    "sparse file of 1.9 GB": _sparse_patch(b"OBQP\1\0\0\0", 19 * 10**8),
    "10 MB for another network": content(_any_patch(bytes(10 * MILLION), 2**32 - 1)),
    "patch in a FIFO": os.mkfifo,
}
SEALED: dict[str, Write] = {
    "sealed file of 1 GiB of zeros": _sparse_patch(b"OBQE\1\0\0\0", 2**30),
    "sealed 10 MB by another key": _sparse_patch(b"OBQE\1\0\0\0", 10 * MILLION),
}
