"""The same audit on ExecuTorch programs: as an ONNX file of the same network measures."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from obliq.cli import main
from obliq.exporting import read_parity_record, sha256_of
from tests.cli.conftest import Said, Way

for library in ("executorch", "onnx", "onnxruntime"):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: extras `executorch` and `onnx`", allow_module_level=True)
# the library's own imports warn
pytestmark = pytest.mark.filterwarnings("ignore:::(?!obliq)")

Obliq = Callable[..., Said]
NUMBERS = (
    "forget_accuracy",
    "retain_accuracy",
    "test_accuracy",
    "mia_svc_confidence",
    "auc_forget_vs_test",
    "entropy_test",
)


@dataclass(frozen=True)
class Files:
    """Exports of the network that unlearned, and the parity of its program."""

    program: Path
    onnx: Path
    parity: Path


@pytest.fixture(scope="module")
def files(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("programs")
    made = Files(folder / "network.pte", folder / "network.onnx", folder / "network.pte.parity.json")
    words = ["--to", "executorch", "--check", f"npz:{way.data}", "--threads", "1"]
    assert main(["export", str(way.unlearned), *words, "--out", str(made.program)]) == 0
    assert main(["export", str(way.unlearned), "--out", str(made.onnx)]) == 0
    return made


def entries(folder: Path) -> dict[str, dict[str, object]]:
    document = json.loads((folder / "audit.json").read_text())
    return {entry["name"]: entry for entry in document["entries"]}


def test_the_parity_of_a_program_is_recorded(way: Way, files: Files) -> None:
    record = read_parity_record(files.parity)
    assert record.file_digest == sha256_of(files.program.read_bytes())
    assert record.file_bytes == len(files.program.read_bytes())
    found = record.checks[f"npz:{way.data}"]
    assert found.runtime.startswith("executorch ")
    assert found.activations.compared == 3 * found.samples  # the last codes of three classes
    assert found.activations.equal == found.reference.same_top1 == 1
    assert found.reference.largest_difference == 0


def test_a_program_measures_as_the_onnx_file_does(
    way: Way, files: Files, tmp_path: Path, obliq: Obliq
) -> None:
    said = obliq(
        "audit",
        way.original,
        way.unlearned,
        files.program,
        files.onnx,
        "--retrained",
        way.retrained,
        "--threads",
        1,
        "--out",
        tmp_path / "a",
    )
    assert said.status == 0, said.err
    rows = entries(tmp_path / "a")
    assert list(rows) == ["original", "unlearned", "network.pte", "network.onnx", "retrained"]
    row, beside = rows["network.pte"], rows["network.onnx"]
    for number in (*NUMBERS, "average_gap", "changed_codes_percent", "seconds"):
        assert row[number] == beside[number]
    artifact = row["artifact"]
    assert artifact == {
        **beside["artifact"],
        "file_digest": sha256_of(files.program.read_bytes()),
        "runtime": artifact["runtime"],
    }
    assert artifact["runtime"].startswith("ExecuTorch 1.")
    assert (artifact["form"], artifact["network"]) == ("integer", "unlearned")
    assert artifact["precision"] == "W4A4, weights in int8"
    assert "network.pte: integer, W4A4, weights in int8, run by ExecuTorch 1." in said.out
    assert sha256_of(files.program.read_bytes()) in (tmp_path / "a" / "report.html").read_text()


def test_a_program_alone_is_audited_with_the_request(
    way: Way, files: Files, tmp_path: Path, obliq: Obliq
) -> None:
    request = ("--request", way.unlearned / "request.json", "--threads", 1)
    rows = []
    for runtime in ("executorch", "interpreter"):
        out = tmp_path / runtime
        said = obliq("audit", way.original, files.program, *request, "--runtime", runtime, "--out", out)
        assert said.status == 0, said.err
        assert "measured alone" in said.out
        rows.append(entries(out)["network.pte"])
    assert rows[1]["artifact"]["runtime"].startswith("integer interpreter")
    assert 0 < rows[0]["changed_codes_percent"] <= 100
    for number in NUMBERS:
        assert rows[0][number] == rows[1][number]


@pytest.fixture(scope="module")
def programs(way: Way, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The networks of the way as programs, without a folder beside them."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("original", "retrained"):
        out = folder / f"{name}.pte"
        assert main(["export", str(getattr(way, name)), "--to", "executorch", "--out", str(out)]) == 0
    return {name: folder / f"{name}.pte" for name in ("original", "retrained")}


def test_programs_alone_are_unlearned_audited_and_patched(
    way: Way, programs: dict[str, Path], tmp_path: Path, obliq: Obliq
) -> None:
    data = ("--data", f"npz:{way.data}", "--threads", 1)
    said = obliq(
        "unlearn",
        programs["original"],
        *data,
        "--forget",
        "class=1",
        "--out",
        tmp_path / "u",
        "oeu",
        "--epochs",
        1,
        "--forget-batch",
        8,
        "--retain-batch",
        8,
        "--objective",
        "entropy",
    )
    assert said.status == 0, said.err
    new = tmp_path / "u" / "network.pte"
    assert json.loads((tmp_path / "u" / "shipped.json").read_text())["file_digest"] == sha256_of(
        new.read_bytes()
    )
    said = obliq(
        "audit",
        programs["original"],
        new,
        "--retrained",
        programs["retrained"],
        *data,
        "--show-forgotten",
        2,
        "--out",
        tmp_path / "a",
    )
    assert said.status == 0, said.err
    row = entries(tmp_path / "a")["network.pte"]
    assert row["artifact"]["runtime"].startswith("ExecuTorch 1.")
    assert 0 < row["changed_codes_percent"] <= 100
    assert "data:image/png" in (tmp_path / "a" / "report.html").read_text()
    said = obliq("patch", "make", "--plain", programs["original"], new, "--out", tmp_path / "forget.patch")
    assert said.status == 0, said.err
    assert row["artifact"]["content_digest"] in said.out
    made = tmp_path / "patched.pte"
    assert obliq("patch", "apply", programs["original"], tmp_path / "forget.patch", "--out", made).status == 0
    assert made.read_bytes() == new.read_bytes()


def test_one_patch_fits_every_file_of_a_network(
    way: Way, files: Files, programs: dict[str, Path], tmp_path: Path, obliq: Obliq
) -> None:
    """Made between ONNX files, applied to the program and to the compact file."""
    patch = tmp_path / "forget.patch"
    for form in ("integer", "compact"):
        for name in ("original", "unlearned"):
            out = tmp_path / f"{name}-{form}.onnx"
            assert obliq("export", getattr(way, name), "--form", form, "--out", out).status == 0
    old, new = (tmp_path / f"{name}-integer.onnx" for name in ("original", "unlearned"))
    assert obliq("patch", "make", "--plain", old, new, "--out", patch).status == 0
    for before, after in (
        (programs["original"], files.program),
        (tmp_path / "original-compact.onnx", tmp_path / "unlearned-compact.onnx"),
        (old, new),
    ):
        out = tmp_path / f"patched-{after.name}"
        said = obliq("patch", "apply", before, patch, "--out", out)
        assert said.status == 0, said.err
        assert out.read_bytes() == after.read_bytes()


def test_what_does_not_belong_is_refused(way: Way, files: Files, tmp_path: Path, obliq: Obliq) -> None:
    altered, good = tmp_path / "altered.pte", files.program.read_bytes()
    place = good.index(b"XnnpackBackend")
    contents = {
        "empty.pte": (b"", "no ExecuTorch program"),
        "text.pte": (b"not a program at all", "no ExecuTorch program"),
        "cut.pte": (good[: len(good) // 2], "expected them inside"),
        "altered.pte": (good[:place] + b"OtherBackend\0\0" + good[place + 14 :], "not what ExecuTorch"),
    }
    for name, (data, message) in contents.items():
        (tmp_path / name).write_bytes(data)
        said = obliq("audit", way.original, way.unlearned, tmp_path / name, "--out", tmp_path / "a")
        assert said.status == 1
        assert f"{name}: " in said.err
        assert message in said.err
        assert said.err.count("obliq: error") == 1
    (tmp_path / "link.pte").symlink_to(files.program)
    said = obliq("audit", way.original, way.unlearned, tmp_path / "link.pte", "--out", tmp_path / "a")
    assert "links are not followed" in said.err
    said = obliq(
        "audit", way.original, way.unlearned, files.onnx, "--runtime", "executorch", "--out", tmp_path / "a"
    )
    assert "a file for onnxruntime in executorch; expected onnxruntime or interpreter" in said.err
    said = obliq("audit", altered, files.program, "--out", tmp_path / "a")
    assert "altered.pte: not what ExecuTorch" in said.err
    assert not (tmp_path / "a").exists()


def test_a_program_of_another_network_is_refused(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    """It is sound, and none of those beside it."""
    other = tmp_path / "other.pte"
    assert obliq("export", way.original, "--to", "executorch", "--out", other).status == 0
    said = obliq("audit", way.original, way.unlearned, other, "--out", tmp_path / "b")
    assert said.status == 1
    assert "other.pte (content " in said.err
    assert "was not exported from any of the given networks" in said.err
