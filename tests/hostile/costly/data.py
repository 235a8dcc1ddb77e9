"""Data sets: archives, pictures, pickles and lists that unpack to far more than they are, or name too much."""

import gzip
import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Build = Callable[[Path], None]
"""Writes files into a folder."""

FILE = "data.npz"
MILLION = 1_000_000


def npz(
    *, compressed: bool = True, method: int = zipfile.ZIP_DEFLATED, **arrays: np.ndarray | bytes
) -> Build:
    def build(folder: Path) -> None:
        kind = method if compressed else zipfile.ZIP_STORED
        with zipfile.ZipFile(folder / FILE, "w", kind, compresslevel=9) as archive:
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as opened:
                    if isinstance(values, bytes):
                        opened.write(values)
                    else:
                        np.lib.format.write_array(opened, values, allow_pickle=False)

    return build


def _array_head(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    encoded = text.encode("latin1")
    size = struct.pack("<H" if version == (1, 0) else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + size + encoded


def _head(shape: str, kind: str = "|u1") -> bytes:
    return _array_head(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n")


def npz_of_zeros(folder: Path) -> None:
    """4 GiB of zeros in 4 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    size, block = 2**32, bytes(2**22)
    head = _head(f"({2**22}, {2**10})")
    data = packer.compress(head)
    data += b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
    # Only sizes are read before the data are unpacked, so the sum of the check is left out.
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr("y.npy", b"")
        _add_raw(archive, "x.npy", data, size + len(head))


def _add_raw(archive: zipfile.ZipFile, name: str, data: bytes, unpacked: int) -> None:
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.file_size, entry.compress_size = zipfile.ZIP_DEFLATED, unpacked, len(data)
    entry.CRC = 0
    opened = archive.fp
    assert opened is not None
    opened.seek(archive.start_dir)
    entry.header_offset = archive.start_dir
    opened.write(entry.FileHeader(zip64=True) + data)
    archive.start_dir = opened.tell()
    archive.filelist.append(entry)
    archive.NameToInfo[name] = entry
    archive._didModify = True


def many_archive_entries(folder: Path) -> None:
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        for index in range(90_000):
            archive.writestr(zipfile.ZipInfo(f"{index:x}"), b"")


X = np.zeros((4, 1, 2, 2), np.uint8)
Y = np.arange(4)


def device(folder: Path) -> None:
    os.mkfifo(folder / FILE)


def link(folder: Path) -> None:
    (folder / FILE).symlink_to("/dev/zero")


def damaged_lzma(folder: Path) -> None:
    npz(x=X, y=Y, method=zipfile.ZIP_LZMA)(folder)
    file = folder / FILE
    data = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        entry = archive.getinfo("x.npy")
    start = entry.header_offset + 30 + len("x.npy") + 20 + 9
    data[start : start + 8] = b"\xff" * 8
    file.write_bytes(data)


NPZ: dict[str, Build] = {
    "4 GiB of zeros": npz_of_zeros,
    "90,000 entries": many_archive_entries,
    "labels up to a thousand billion": npz(x=X, y=np.array([0, 1, 2, 2**40])),
    "subjects up to a thousand billion": npz(x=X, y=Y, subject=np.array([0, 1, 2, 2**40])),
    "a million names in few bytes": npz(
        x=np.zeros((MILLION, 1), np.uint8),
        y=np.full(MILLION, "class", "<U64"),
        id=np.full(MILLION, "n", "<U64"),
    ),
    "names of no letters": npz(x=X, y=_head(f"({2**40},)", "<U0"), subject=Y),
    "array head without an end": npz(x=_array_head("{'descr': " + "(" * 3000), y=Y),
    "array head of 60,000 brackets": npz(x=_array_head("[" * 60_000), y=Y),
    "shape of truth values": npz(x=_head("(True, True)") + b"\0", y=Y),
    "LZMA that is damaged": damaged_lzma,
    "not a file but a FIFO": device,
    "link to a device": link,
}


def _folder(first: bytes, count: int, suffix: str) -> Build:
    def build(folder: Path) -> None:
        for label in ("a", "b"):
            (folder / label).mkdir()
            for index in range(count):
                (folder / label / f"{index}{suffix}").write_bytes(first)

    return build


def _picture(side: int, form: str = "PNG", mode: str = "L", **options: object) -> bytes:
    written = io.BytesIO()
    Image.new(mode, (side, side)).save(written, form, **options)
    return written.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_chunks(*chunks: bytes) -> bytes:
    good = _picture(8)
    return good[:33] + b"".join(chunks) + good[33:]


def small_pictures(folder: Path) -> None:
    _folder(_picture(8), 1, ".png")(folder)


def many_scans() -> bytes:
    """A progressive JPEG of 4096x4096 pixels with thousands of scans that change nothing."""
    good = _picture(4096, "JPEG", progressive=True)
    last = good.rindex(b"\xff\xda")
    scan = good[last:-2]
    return good[:-2] + scan * ((4 * MILLION - len(good)) // len(scan)) + b"\xff\xd9"


def picture_fifo(folder: Path) -> None:
    small_pictures(folder)
    os.mkfifo(folder / "a" / "b.png")


def picture_link(folder: Path) -> None:
    small_pictures(folder)
    (folder / "a" / "b.png").symlink_to(folder / "a" / "0.png")


IMAGES: dict[str, Build] = {
    "200 PNG of 4096x4096 in 3 MB": lambda folder: _folder(_picture(4096), 100, ".png")(folder),
    "PNG of 30000x30000": lambda folder: _folder(
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)).join(
            [b"\x89PNG\r\n\x1a\n", _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")]
        ),
        1,
        ".png",
    )(folder),
    "progressive JPEG of many scans": lambda folder: _folder(many_scans(), 1, ".jpg")(folder),
    "PNG with texts that unpack": lambda folder: _folder(
        _with_chunks(*[_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000)))] * 60), 1, ".png"
    )(folder),
    "PNG with a million small chunks": lambda folder: _folder(
        _with_chunks(_chunk(b"teXt", b"") * 400_000), 1, ".png"
    )(folder),
    "FIFO among pictures": picture_fifo,
    "link among pictures": picture_link,
}

_MNIST = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _idx(kind: int, shape: tuple[int, ...], data: bytes = b"") -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + data


def mnist(**changed: Callable[[Path], None]) -> Build:
    """Small files of the family's names; `images` and `labels` write another file of the training part."""

    def build(folder: Path) -> None:
        for name, images in zip(_MNIST, (True, False) * 2, strict=True):
            content = _idx(8, (4, 2, 2), bytes(16)) if images else _idx(8, (4,), bytes([0, 1, 2, 3]))
            (folder / name).write_bytes(content)
        for kind, write in changed.items():
            file = folder / _MNIST[0 if kind == "images" else 1]
            file.unlink()
            write(file)

    return build


def _gzipped_zeros(file: Path) -> None:
    with gzip.open(file.with_name(f"{file.name}.gz"), "wb", compresslevel=9) as opened:
        opened.write(_idx(8, (1000, 1000, 1000)))
        for _ in range(1000):
            opened.write(bytes(MILLION))


def _sparse(size: int, head: bytes) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        with file.open("wb") as opened:
            opened.write(head)
            opened.truncate(size)

    return write


def _content(data: bytes) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(data) and None


MNIST: dict[str, Build] = {
    "1 GB of zeros in a .gz of 1 MB": mnist(images=_gzipped_zeros),
    "labels up to two billion": mnist(
        labels=_content(_idx(12, (4,), struct.pack(">4i", 0, 1, 2, 2**31 - 1)))
    ),
    "negative labels": mnist(labels=_content(_idx(12, (4,), struct.pack(">4i", 0, 1, 2, -5)))),
    "sparse images": mnist(images=_sparse(2**30, _idx(8, (2**20, 32, 32)))),
    "FIFO as labels": mnist(labels=os.mkfifo),
}

_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def cifar(content: Callable[[], bytes]) -> Build:
    def build(folder: Path) -> None:
        data = content()
        for name in _BATCHES:
            (folder / name).write_bytes(data)

    return build


def nested_tuples() -> bytes:
    """A key that holds one tuple twice, which holds one tuple twice, and so on: its hash takes 2^50 steps."""
    inner = b")q\0" + b"".join(
        b"h%c" % index + b"h%c" % index + b"\x86q%c" % (index + 1) for index in range(50)
    )
    return b"\x80\x02}q\xff" + inner + b"K\0s."


def deep_lists() -> bytes:
    return b"\x80\x02" + b"]" * 750_000 + b"a" * 749_999 + b"."


def many_objects() -> bytes:
    return b"\x80\x02](" + b"}" * 1_500_000 + b"e."


def codecs_called() -> bytes:
    """One text, encoded again and again."""
    text = b"X" + struct.pack("<I", 2**16) + b"a" * 2**16 + b"q\0" + b"X\6\0\0\0latin1q\1"
    call = b"c_codecs\nencode\nq\2"
    return b"\x80\x02](" + text + call + b"00" + b"h\2h\0h\1\x86R" * 100_000 + b"e."


def cifar_pictures(folder: Path) -> None:
    written = io.BytesIO()
    Image.new("RGB", (1024, 20_000)).save(written, "PNG")
    for name in _BATCHES:
        (folder / f"{name}.png").write_bytes(written.getvalue())
    (folder / "train_lables.json").write_text(str([0] * 100_000))
    (folder / "test_lables.json").write_text(str([0] * 20_000))


CIFAR: dict[str, Build] = {
    "pickle of 9 bytes": cifar(lambda: b"\x80\x02Nr\xff\xff\xff\x0f."),
    "tuples of tuples as a key": cifar(nested_tuples),
    "750,000 lists in lists": cifar(deep_lists),
    "1,500,000 dictionaries": cifar(many_objects),
    "a text encoded 100,000 times": cifar(codecs_called),
    "a number of a million digits": cifar(lambda: b"\x80\x02L" + b"9" * MILLION + b"L\n."),
    "a pickle that claims 4 GB": cifar(lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**32) + b"."),
    "an array that claims 4 GB": cifar(lambda: b"\x80\x05\x96" + struct.pack("<Q", 2**32) + b"."),
    "six pictures of zeros": cifar_pictures,
    "honest pickle": cifar(lambda: pickle.dumps({"data": [], "labels": []}, 2)),
}


def ids(data: bytes) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(data) and None


IDS: dict[str, Callable[[Path], None]] = {
    "5,000,000 empty lines": ids(b"\n" * (5 * MILLION)),
    "2,000,000 ids": ids(b"".join(b"%d\n" % number for number in range(1_300_000))),
    "ids of one line": ids(b"1" * (10 * MILLION)),
    "ids in a FIFO": os.mkfifo,
    "ids in a device": lambda file: file.symlink_to("/dev/zero"),
}
"""Each writes one file."""
