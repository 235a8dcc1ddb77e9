"""Every hostile file is refused with one typed error, and reading it touches nothing else."""

import functools
import re
import sys
from pathlib import Path

import pytest

from obliq.checkpoints import Blueprint, load_checkpoint
from obliq.errors import ObliqError
from obliq.exporting import open_exported, read_exported
from obliq.workflow.patch_targets import find_artifact
from tests.exporting import qdq_files
from tests.hostile import executorch_files, networks, onnx_files, onnx_forms_files, quantizer_files, sample
from tests.hostile.make import make

pytest.importorskip("onnx", reason="the extra `onnx` is not installed, which the files are made with")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed, which the files are made with")


NAMES = [*networks.ALTERED, *(f"{name}.onnx" for name in (*onnx_files.ALTERED, *onnx_files.raw_files()))]
NAMES += [f"{name}.onnx" for name in onnx_forms_files.ALTERED]
FOREIGN = (*quantizer_files.ALTERED, *quantizer_files.RESHAPED, *quantizer_files.PRODUCED)
FOREIGN += (*quantizer_files.raw_files(),)
NAMES += [f"{name}.onnx" for name in FOREIGN]
NAMES += ["link to another file.onnx", "terabyte.onnx"]
PROGRAMS = [f"{name}.pte" for name in (*executorch_files.ALTERED, "link to another file", "terabyte")]
FORBIDDEN = (
    "exec",
    "compile",
    "import",
    "subprocess.",
    "os.",
    "socket.",
    "ctypes.",
    "pickle.",
    "shutil.",
    "marshal.",
)

_seen: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is None or not event.startswith((*FORBIDDEN, "open")):
        return
    if event == "exec":  # generated code is numbered
        _seen.append(f"exec {re.sub('[0-9]+', 'N', arguments[0].co_filename)}")  # type: ignore[attr-defined]
    elif event == "compile":
        _seen.append(f"compile {arguments[0]!r}")
    elif not (event == "open" and isinstance(arguments[0], int)):  # a file that has been opened already
        _seen.append(f"{event} {arguments[0]}")


sys.addaudithook(_watch)


def read(file: Path) -> tuple[ObliqError | None, set[str]]:
    """The error that reading a file or folder ends in, and what else was opened or run meanwhile."""
    global _seen
    _seen, error = [], None
    try:
        if file.name.endswith(".onnx"):
            read_exported(file)
        else:
            load_checkpoint(file)
    except ObliqError as raised:
        error = raised
    finally:
        events, _seen = set(_seen), None
    return error, {event for event in events if not event.startswith(f"open {file}")}


@functools.cache
def refusal(file: Path) -> tuple[type[ObliqError] | None, str, frozenset[str]]:
    """The type and words of that error, and those events; each file is read once."""
    error, events = read(file)
    return (type(error) if error else None), str(error), frozenset(events)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hostile") / "files"
    made = make(out)
    programs = PROGRAMS if executorch_files.INSTALLED else []
    assert sorted(file.name for file in made) == sorted([*NAMES, *programs])
    assert len(made) >= 40
    return out


@pytest.fixture(scope="module")
def tracing(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What happens for a harmless network too: torch.fx traces our own architectures with generated code."""
    folder = tmp_path_factory.mktemp("harmless") / "network"
    sample.folder(folder)
    for architecture in ("convnet", "resnet20"):
        Blueprint(architecture=architecture, input_shape=(1, 8, 8), classes=3).outline()
    error, events = read(folder)
    assert error is None
    generated = r"(compile b'(\\n)*def forward\(self|exec <eval_with_key>)"
    assert [event for event in events if not re.match(generated, event)] == []
    return events


@pytest.mark.parametrize("name", NAMES)
def test_it_is_refused_in_one_line(name: str, corpus: Path, tracing: set[str]) -> None:
    file = corpus / name
    error, message, events = refusal(file)
    assert error is not None
    assert message.startswith(str(file))
    assert message.isprintable()
    assert len(message) < 1500
    assert events <= (set() if name.endswith(".onnx") else tracing)


@pytest.mark.parametrize("name", NAMES)
def test_patching_refuses_it_in_the_same_words(name: str, corpus: Path) -> None:
    error, message, _ = refusal(corpus / name)
    with pytest.raises(ObliqError) as refused:
        find_artifact(corpus / name)
    assert (type(refused.value), str(refused.value)) == (error, message)


class RuntimeReachedError(Exception):
    """A runtime would have been started."""


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What comes as far as a runtime, of which none is started."""
    seen: list[bytes] = []

    def reach(data: bytes, *_: object, **__: object) -> None:
        seen.append(data)
        raise RuntimeReachedError

    monkeypatch.setattr("obliq.exporting.executorch.file.load_program", reach)
    return seen


@pytest.mark.skipif(not executorch_files.INSTALLED, reason="the extra `executorch` is not installed")
@pytest.mark.filterwarnings("ignore:::(?!obliq)")  # the library's own imports warn
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_refused_before_a_runtime_sees_it(name: str, corpus: Path, reached: list[bytes]) -> None:
    file = corpus / name
    with pytest.raises(ObliqError) as refused:
        open_exported(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert str(refused.value).isprintable()
    assert not reached
    if not file.is_symlink() and file.stat().st_size < 2**20:
        assert file.read_bytes() != executorch_files.harmless()


@pytest.mark.skipif(not executorch_files.INSTALLED, reason="the extra `executorch` is not installed")
@pytest.mark.filterwarnings("ignore:::(?!obliq)")
def test_the_harmless_program_reaches_it(tmp_path: Path, reached: list[bytes]) -> None:
    (tmp_path / "a.pte").write_bytes(executorch_files.harmless())
    with pytest.raises(RuntimeReachedError):
        open_exported(tmp_path / "a.pte")
    assert reached == [executorch_files.harmless()]


@pytest.mark.parametrize("form", ["integer", "compact", "float"])
def test_the_harmless_originals_are_read(form: str, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(sample.onnx_file(form))
    assert read(tmp_path / "a.onnx") == (None, set())


def test_the_harmless_files_of_other_quantizers_are_read(tmp_path: Path) -> None:
    for name, data in (("a", sample.quantizer_file()), ("b", qdq_files.like_pt2e())):
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(data)
        assert read(file) == (None, set())


def test_the_watch_would_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(file: Path) -> None:
        with Path(__file__).open():
            eval(compile("1", "a", "eval"))
        __import__("this_module_is_nowhere" if file.is_dir() else "os")

    monkeypatch.setattr("tests.hostile.test_hostile.load_checkpoint", careless)
    with pytest.raises(ModuleNotFoundError):
        read(tmp_path)
    (tmp_path / "a").write_bytes(b"")
    error, events = read(tmp_path / "a")
    assert error is None
    assert {f"open {__file__}", "compile b'1'", "exec a"} <= events
