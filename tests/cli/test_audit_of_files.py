"""The same audit on what ships: exported files beside the networks that they were made from, or alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from obliq.cli import main
from obliq.exporting import read_exported, sha256_of
from obliq.workflow.compare_runs import DEVICE_SUMS
from tests.cli.conftest import Said, Way

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

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
    """Exports of the network that unlearned, and what belongs to them."""

    integer: Path
    compact: Path
    float: Path
    deployed: Path
    of_original: Path


@pytest.fixture(scope="module")
def files(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("files")
    made = {form: folder / f"{form}.onnx" for form in ("integer", "compact", "float")}
    deployed = folder / "deployed"  # has the biases of the file, which the float form would not round
    assert main(["export", str(way.unlearned), "--to", "network", "--out", str(deployed)]) == 0
    for form, file in made.items():
        assert main(["export", str(deployed), "--form", form, "--out", str(file)]) == 0
    assert main(["export", str(way.original), "--out", str(folder / "original.onnx")]) == 0
    return Files(*made.values(), deployed, folder / "original.onnx")


def entries(folder: Path) -> dict[str, dict[str, object]]:
    document = json.loads((folder / "audit.json").read_text())
    return {entry["name"]: entry for entry in document["entries"]}


def test_a_file_stands_beside_its_network(way: Way, files: Files, tmp_path: Path, obliq: Obliq) -> None:
    said = obliq(
        "audit",
        way.original,
        files.deployed,
        files.integer,
        files.compact,
        files.float,
        "--retrained",
        way.retrained,
        "--request",
        way.unlearned / "request.json",
        "--out",
        tmp_path / "a",
    )
    assert said.status == 0, said.err
    rows = entries(tmp_path / "a")
    assert list(rows) == ["original", "unlearned", "integer.onnx", "compact.onnx", "float.onnx", "retrained"]
    for name, file in (("integer.onnx", files.integer), ("compact.onnx", files.compact)):
        row, artifact = rows[name], rows[name]["artifact"]
        assert row["kind"] == "unlearned"
        assert row["verdict"] is not None
        assert row["changed_codes_percent"] == rows["unlearned"]["changed_codes_percent"]
        assert artifact["network"] == "unlearned"
        assert artifact["form"] == file.stem
        assert artifact["runtime"].startswith("ONNX Runtime 1.")
        assert artifact["file_digest"] == sha256_of(file.read_bytes())
        assert artifact["moved"] == []
        for number in NUMBERS:  # the deployed network computes what the file does, to the last bit
            assert row[number] == rows["unlearned"][number]
    assert rows["integer.onnx"]["artifact"]["precision"] == "W4A4, weights in int8"
    assert rows["compact.onnx"]["artifact"]["precision"] == "W4A4, weights in int4"
    assert rows["float.onnx"]["artifact"]["precision"] == "FP32"
    assert rows["unlearned"]["artifact"] is None
    assert "integer.onnx: integer, W4A4, weights in int8, run by ONNX Runtime 1." in said.out
    assert "unlearned: in PyTorch with the sums and roundings of a device" in said.out
    assert json.loads((tmp_path / "a" / "audit.json").read_text())["settings"][DEVICE_SUMS] == "unlearned"
    page = (tmp_path / "a" / "report.html").read_text()
    assert "computed in a device&#39;s sums" in page
    assert "What the exported file answers" in page
    assert sha256_of(files.integer.read_bytes()) in page


def test_the_interpreter_answers_as_the_runtime_does(
    way: Way, files: Files, tmp_path: Path, obliq: Obliq
) -> None:
    rows = []
    for runtime in ("onnxruntime", "interpreter"):
        words = (
            "audit",
            way.original,
            way.unlearned,
            files.integer,
            "--runtime",
            runtime,
            "--out",
            tmp_path / runtime,
        )
        assert obliq(*words).status == 0
        rows.append(entries(tmp_path / runtime)["integer.onnx"])
    assert rows[1]["artifact"]["runtime"].startswith("integer interpreter (NumPy ")
    for number in NUMBERS:
        assert rows[0][number] == rows[1][number]


def test_a_file_alone_is_audited_with_the_request(
    way: Way, files: Files, tmp_path: Path, obliq: Obliq
) -> None:
    request = way.unlearned / "request.json"
    together = obliq("audit", way.original, way.unlearned, files.integer, "--out", tmp_path / "together")
    assert together.status == 0
    assert DEVICE_SUMS not in (tmp_path / "together" / "audit.json").read_text()  # a network as trained
    alone = obliq("audit", way.original, files.integer, "--request", request, "--out", tmp_path / "alone")
    assert alone.status == 0, alone.err
    assert "measured alone" in alone.out
    row, beside = (entries(tmp_path / folder)["integer.onnx"] for folder in ("alone", "together"))
    assert row["artifact"]["network"] is None
    for number in NUMBERS:
        assert row[number] == beside[number]
    assert 0 < row["changed_codes_percent"] <= 100
    assert row["verdict"]["word"] == "INCONCLUSIVE"  # one person, and nobody to compare with

    missing = obliq("audit", way.original, files.integer, "--out", tmp_path / "missing")
    assert missing.status == 1
    assert "integer.onnx comes without request.json; expected the request (or --request FILE)" in missing.err
    folder = tmp_path / "shipped"
    folder.mkdir()
    shutil.copy(files.integer, folder)
    shutil.copy(request, folder)
    assert obliq("audit", way.original, folder / "integer.onnx", "--out", tmp_path / "found").status == 0
    reference = ("--retrained", way.retrained, "--out", tmp_path / "reference")
    assert obliq("audit", way.original, files.integer, *reference).status == 0
    assert entries(tmp_path / "reference")["integer.onnx"]["average_gap"] >= 0


def test_a_file_of_another_network_is_refused(way: Way, files: Files, tmp_path: Path, obliq: Obliq) -> None:
    said = obliq("audit", way.original, way.unlearned, files.of_original, "--out", tmp_path / "a")
    assert said.status == 1
    assert "original.onnx (content " in said.err
    assert (
        "was not exported from any of the given networks; expected a file that `obliq export` makes of"
        in said.err
    )

    altered = tmp_path / "altered.onnx"  # one weight, one step away
    model = onnx.load_model_from_string(files.integer.read_bytes())
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "classifier.weight")
    codes = bytearray(weight.raw_data)
    codes[0] = (codes[0] - 1) % 256 if codes[0] < 128 else codes[0] + 1
    weight.raw_data = bytes(codes)
    altered.write_bytes(model.SerializeToString(deterministic=True))
    assert read_exported(altered).contents.nodes == read_exported(files.integer).contents.nodes
    said = obliq("audit", way.original, way.unlearned, altered, "--out", tmp_path / "a")
    assert said.status == 1
    assert "altered.onnx (content " in said.err

    other = tmp_path / "other"
    words = ("--bits", "W8A8", "--epochs", 1, "--threads", 1, "--out", other)
    assert obliq("train", f"npz:{way.data}", *words).status == 0
    assert obliq("export", other, "--out", tmp_path / "other.onnx").status == 0
    request = ("--request", way.unlearned / "request.json")
    said = obliq("audit", way.original, tmp_path / "other.onnx", *request, "--out", tmp_path / "a")
    assert said.status == 1
    assert "expected a file of the original's form" in said.err
    said = obliq("audit", files.of_original, way.unlearned, *request, "--out", tmp_path / "a")
    assert said.status == 1
    assert "is not an exported file" in said.err
    assert "or the folder of the original first" in said.err
    assert not (tmp_path / "a").exists()


def test_what_is_no_exported_file_is_refused_in_one_line(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    for name, content in (("empty.onnx", b""), ("text.onnx", b"not a network at all")):
        (tmp_path / name).write_bytes(content)
        said = obliq("audit", way.original, way.unlearned, tmp_path / name, "--out", tmp_path / "a")
        assert said.status == 1
        assert name in said.err
        assert said.err.strip().count("obliq: error") == 1
    said = obliq("audit", way.original, way.unlearned, tmp_path / "missing.onnx", "--out", tmp_path / "a")
    assert said.status == 1
    assert "missing.onnx" in said.err
