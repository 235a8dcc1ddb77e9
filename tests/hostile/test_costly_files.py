"""Small files that would cost much are refused while they are cheap; benchmarks/hostile_files.py measures them all."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest

from obliq.auditing import parse_audit
from obliq.cli.patch_files import read_patch
from obliq.data import load_dataset
from obliq.data.listed_ids import lines_of
from obliq.data.selectors import Listed
from obliq.errors import ObliqError
from obliq.exporting import parse_exported
from obliq.io.budget import MEMORY_OF_ANY, MEMORY_OF_BYTE, WORK_OF_ANY, WORK_OF_BYTE, Budget
from obliq.models.weights_file import read_weights
from tests.hostile.costly import data, networks

pytest.importorskip("onnx", reason="the extra `onnx` is not installed, which some files are made with")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed, which some files are made with")

from tests.hostile.costly import exported

pytestmark = pytest.mark.usefixtures("read_in_this_process")  # whose memory and time are watched

MOST_SECONDS, MOST_MEMORY = 5, 512  # of the processor, and MiB

SLOW_TO_MAKE = {
    *("1,200,000 inputs", "19,000 nodes of 48 settings", "10 MB of 2-bit codes in a sound file"),
    *("1 GB of zeros in a .gz of 1 MB", "200 PNG of 4096x4096 in 3 MB", "4 GiB of zeros", "90,000 entries"),
    *(
        "storage that unpacks to 2 GB",
        "pickle that unpacks to 1 GB",
        "80,000 entries",
        "six pictures of zeros",
    ),
    *("scales read 15,000 times", "places read 15,000 times", "a million names in few bytes"),
    *("a million numbers in a typed field", "120,000 tensors", "3,000,000 dictionaries"),
    *("4,000,000 lists in lists", "1,500,000 dictionaries"),
}
READ = {"subjects up to a thousand billion", "PNG with texts that unpack"}
"""Harmless after all."""


@pytest.fixture(autouse=True)
def _without_shape_checks() -> Iterator[None]:
    """As users run it: the checks of the tests would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def peak() -> float:
    """MiB since the last reset."""
    if sys.platform != "linux":
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def refusal(read: Callable[[], object], most: float = MOST_MEMORY) -> str:
    """The one line in which reading ends, within the limits; nothing where it succeeds."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before, started, message = peak(), time.process_time(), ""
    try:
        read()
    except ObliqError as error:
        message = str(error)
        assert message.isprintable()
        assert "expected" in message
    assert time.process_time() - started < MOST_SECONDS
    assert peak() - before < most
    return message


def quick(names: object) -> list[str]:
    return [name for name in names if name not in SLOW_TO_MAKE]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", quick(exported.ONNX))
def test_onnx_files(name: str) -> None:
    content = exported.ONNX[name]()
    assert refusal(lambda: parse_exported(content))


def test_a_sound_file_takes_a_few_bytes_for_each_code() -> None:
    """12 bytes are 480 MB for the largest number of codes that 10 MB can hold."""
    content = exported.large_layer(inputs=4000)
    assert refusal(lambda: parse_exported(content).content_digest, most=12 * 4_000_000 / 2**20) == ""


@pytest.mark.parametrize(
    ("source", "name"),
    [
        *(("npz", name) for name in quick(data.NPZ)),
        *(("folder", name) for name in quick(data.IMAGES)),
        *(("mnist", name) for name in quick(data.MNIST)),
        *(("cifar10", name) for name in quick(data.CIFAR)),
    ],
)
def test_data_sets(source: str, name: str, tmp_path: Path) -> None:
    known = {"npz": data.NPZ, "folder": data.IMAGES, "mnist": data.MNIST, "cifar10": data.CIFAR}
    known[source][name](tmp_path)
    place = {"npz": f"npz:{tmp_path / data.FILE}", "folder": f"folder:{tmp_path}"}.get(source, source)
    assert bool(refusal(lambda: load_dataset(place, tmp_path))) == (name not in READ)


@pytest.mark.parametrize("name", quick(networks.SAFETENSORS))
def test_safetensors(name: str, tmp_path: Path) -> None:
    networks.SAFETENSORS[name](tmp_path / "a.safetensors")
    assert refusal(lambda: read_weights(tmp_path / "a.safetensors"))


@pytest.mark.parametrize("name", quick(networks.TORCH))
def test_files_of_torch(name: str, tmp_path: Path) -> None:
    networks.TORCH[name](tmp_path / "a.pt")
    refused = refusal(lambda: read_weights(tmp_path / "a.pt"))
    assert bool(refused) == (name != "one number as a tensor of 4 GB")  # which no network has


@pytest.mark.parametrize("name", networks.JSON)
def test_documents(name: str, tmp_path: Path) -> None:
    networks.JSON[name](tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert refusal(lambda: parse_audit(text))


@pytest.mark.parametrize("name", data.IDS)
def test_lists_of_ids(name: str, tmp_path: Path) -> None:
    data.IDS[name](tmp_path / "ids")
    assert bool(refusal(lambda: lines_of(Listed(tmp_path / "ids")))) == (" in a " in name or "empty" in name)


def test_a_sealed_patch_of_another_key_takes_no_memory(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra `patch` is not installed")
    file, key = tmp_path / "a.patch", tmp_path / "key"
    networks.SEALED["sealed 10 MB by another key"](file)
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    assert "another key" in refusal(lambda: read_patch(file, key))  # imports the library
    before = peak()
    assert "another key" in refusal(lambda: read_patch(file, key))
    assert peak() - before < 5  # of 10 MB


def test_a_budget_counts_what_was_spent_before() -> None:
    budget = Budget(10)
    budget.spend("a half", memory=MEMORY_OF_ANY + MEMORY_OF_BYTE * 10, work=WORK_OF_ANY + WORK_OF_BYTE * 10)
    with pytest.raises(
        ObliqError, match=r"a byte would take .* MiB of memory; expected at most .* from 10 bytes"
    ):
        budget.spend("a byte", memory=1)
    with pytest.raises(ObliqError, match="a step would take too long"):
        Budget(0).spend("a step", work=WORK_OF_ANY + 1)
