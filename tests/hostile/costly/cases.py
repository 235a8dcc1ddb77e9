"""Every costly file with the verb that reads it, and a harmless file of its kind."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from obliq.auditing import parse_audit
from obliq.cli import main
from obliq.exporting import read_parity_record
from tests.hostile import executorch_files, sample
from tests.hostile.costly import data, exported, networks


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file.

    Attributes:
        kind: its format.
        name: what is wrong with it.
        build: writes it into a folder, and returns its size in bytes.
        read: what reads it from there; 1 where a verb refused it.
        harmless: reads a harmless file in the same way.
    """

    kind: str
    name: str
    build: Callable[[Path], int]
    read: Callable[[Path], object]
    harmless: Callable[[], object]


def _size(folder: Path) -> int:
    files = [file for file in folder.rglob("*") if not file.is_symlink() and file.is_file()]
    return sum(file.stat().st_size for file in files)


def _cases(
    kind: str, written: dict[str, Callable[[Path], object]], file: str, words: Sequence[str], harmless: Path
) -> Iterator[Case]:
    """Cases of one verb. `FILE` in its words stands for the file, and `HERE` for its folder."""

    def read(path: Path) -> int:
        here = path.parent if file else path
        return main([word.replace("FILE", str(path)).replace("HERE", str(here)) for word in words])

    for name, write in written.items():

        def build(folder: Path, write: Callable[[Path], object] = write) -> int:
            write(folder / file if file else folder)
            return _size(folder)

        yield Case(
            kind=kind,
            name=name,
            build=build,
            read=lambda folder: read(folder / file if file else folder),
            harmless=lambda: read(harmless),
        )


def _bytes(made: dict[str, Callable[[], bytes]]) -> dict[str, Callable[[Path], object]]:
    return {name: networks.content(make) for name, make in made.items()}


def all_cases(shared: Path, *, quick: bool = False) -> Iterator[Case]:
    """All of them; `shared` gets the harmless files.

    Args:
        shared: an empty folder.
        quick: whether to leave out verbs that read a file only next to a network, which is trained for one epoch.
    """
    onnx, good = shared / "a.onnx", shared / "good"
    good.mkdir()
    onnx.write_bytes(sample.onnx_file("compact"))
    yield from _cases("ONNX", _bytes(exported.ONNX), "a.onnx", ["show", "FILE"], onnx)
    if executorch_files.INSTALLED:
        program = shared / "a.pte"
        program.write_bytes(executorch_files.harmless())
        yield from _cases("ExecuTorch", _bytes(exported.PROGRAMS), "a.pte", ["show", "FILE"], program)
    data.npz(x=data.X, y=data.Y)(good)
    yield from _cases("npz", data.NPZ, "", ["data", f"npz:FILE/{data.FILE}"], good)
    data.small_pictures(good)
    yield from _cases("images", data.IMAGES, "", ["data", "folder:FILE"], good)
    data.mnist()(good)
    yield from _cases("MNIST", data.MNIST, "", ["data", "mnist", "--data-folder", "FILE"], good)
    yield from _cases("CIFAR-10", data.CIFAR, "", ["data", "cifar10", "--data-folder", "FILE"], good)
    if quick:
        return
    network, key = shared / "network", shared / "key"
    train = ["train", "digits", "--epochs", "1", "--out", str(network), "--quiet"]
    assert main(train) == 0
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    out = ["--out", "HERE/out", "--overwrite", "--quiet"]
    adopt = ["adopt", "digits", "--arch", "convnet", "--trained-on", "all", "--weights", "FILE", *out]
    unlearn = ["unlearn", str(network), *out, "--forget"]
    none = shared / "none"
    yield from _cases(
        "safetensors", networks.SAFETENSORS, "a.safetensors", adopt, none.with_suffix(".safetensors")
    )
    yield from _cases(".pt", networks.TORCH, "a.pt", adopt, none.with_suffix(".pt"))
    yield from _cases("ids", data.IDS, "ids.txt", [*unlearn, "ids=FILE"], none)
    yield from _cases("request.json", networks.REQUESTS, "r.json", [*unlearn, "request=FILE"], none)
    apply = ["patch", "apply", str(network), "FILE", *out]
    yield from _cases("patch", networks.PATCHES, "a.patch", apply, none)
    info = ["patch", "info", "FILE", "--key-file", str(key)]
    yield from _cases("sealed patch", networks.SEALED, "a.patch", info, none)
    yield from _documents("audit.json", lambda file: parse_audit(file.read_text()))
    yield from _documents("parity.json", read_parity_record)


def _documents(kind: str, read: Callable[[Path], object]) -> Iterator[Case]:
    """Documents that no verb reads, by the functions that users call."""
    for name, write in networks.JSON.items():

        def build(folder: Path, write: Callable[[Path], object] = write) -> int:
            write(folder / "a.json")
            return _size(folder)

        yield Case(
            kind=kind, name=name, build=build, read=lambda folder: read(folder / "a.json"), harmless=lambda: 1
        )
