"""Bad input ends in one clear line, a non-zero exit status, nothing half-written, nothing harmed."""

import errno
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.data import Examples, Splits
from obliq.errors import DataError
from tests.cli.conftest import SHORT, Said, Way, forked, pictures, start

Obliq = Callable[..., Said]


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(said: Said, *words: str) -> None:
    """One line tells what was wrong, with these words in it; the status is 1; nothing is on standard output."""
    assert "Traceback" not in said.err
    lines = said.err.splitlines()
    assert lines
    assert lines[-1].startswith("obliq: error: ")
    assert sum(line.startswith("obliq:") for line in lines) == 1
    assert all(line.endswith(" ...") or line.startswith("  ") for line in lines[:-1])
    assert said.status == 1
    assert said.out == ""
    assert not [word for word in words if word not in lines[-1]], lines[-1]


def nothing_written(folder: Path, *names: str) -> None:
    assert sorted(file.name for file in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("class=3", ("no class 3", "0 to 2")),
        ("subject=4", ("no subject 4", "12 subjects")),
        ("ids=ids.txt", ("no sample 9999", "line 2")),
        ("ids=empty.txt", ("no ids",)),
        ("ids=missing.txt", ("cannot read", "missing.txt")),
        ("class=0,1,2", ("all ", "to be retained")),
        ("random=100%", ("less than 100%",)),
        ("random=0", ("nothing to forget",)),
        ("random=100000", ("to be retained",)),
        ("everyone", ("does not say what to forget",)),
        ("class=-1", ("whole numbers from 0",)),
        ("", ("does not say what to forget",)),
    ],
)
@pytest.mark.parametrize("verb", ["unlearn", "retrain"])
def test_requests(
    verb: str, selector: str, words: tuple[str, ...], obliq: Obliq, way: Way, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text(f"{first_id(way)}\n9999\n")
    Path("empty.txt").write_text("# nobody\n\n")
    method = ("oeu",) if verb == "unlearn" else ()
    refused(obliq(verb, way.original, "--forget", selector, "--out", "out", *method), *words)
    nothing_written(tmp_path, "ids.txt", "empty.txt")


def first_id(way: Way) -> int:
    return int(json.loads((way.unlearned / "request.json").read_text())["ids"][0])


def test_overlapping_splits(splits: Splits) -> None:
    both = Examples(splits.partition.collection, splits.retain.indices[:3])
    with pytest.raises(DataError, match=r"sample \d+ is in both"):
        Splits(splits.partition, both, splits.retain, splits.holdout, splits.test, splits.salt)


def broken(**changes: np.ndarray) -> dict[str, np.ndarray]:
    return pictures() | changes


def with_nan() -> np.ndarray:
    inputs = pictures()["x"]
    inputs[5, 0, 2, 2] = np.nan
    return inputs


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (broken(x=with_nan()), ("1 of 144 inputs hold NaN",)),
        (broken(x=np.zeros((144, 1, 2, 2), np.float32)), ("(1, 2, 2)", "expected")),
        (broken(x=np.zeros((144, 1, 2, 2, 2), np.float32)), ("(1, 2, 2, 2)", "expected")),
        (broken(x=np.zeros((144, 28, 28, 3), np.uint8)), ("colours last",)),
        (broken(x=np.zeros((0, 1, 6, 6), np.float32)), ("empty",)),
        (broken(x=np.full((144, 1, 6, 6), 1e300)), ("NaN or infinity",)),
        (broken(x=np.array([{}] * 144)), ("Python objects",)),
        (broken(y=np.arange(144) - 3), ("labels run from -3",)),
        (broken(y=np.arange(144) * 1000), ("label 143000",)),
        (broken(y=np.zeros(144, np.int64)), ("1 classes",)),
        (broken(y=np.zeros(144)), ("y has type float64",)),
        (broken(y=np.arange(12)), ("y has shape (12,)",)),
        (broken(subject=np.arange(144) - 9), ("subject -9",)),
        ({"x": pictures()["x"]}, ("no array y",)),
    ],
    ids=[
        "NaN", "too small", "too many axes", "colours last", "empty", "overflow", "objects", "negative label",
        "huge label", "one class", "float labels", "few labels", "negative subject", "no labels",
    ],
)  # fmt: skip
def test_data(arrays: dict[str, np.ndarray], words: tuple[str, ...], obliq: Obliq, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    refused(obliq("train", f"npz:{tmp_path / 'bad.npz'}", "--out", tmp_path / "out", *SHORT), *words)
    nothing_written(tmp_path, "bad.npz")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--bits W1A4", ("weight bits is 1", "2 to 8")),
        ("--bits W4A9", ("activation bits is 9", "2 to 8")),
        ("--bits W4", ("'W4'",)),
        ("--bits four", ("'four'",)),
        ("--bits W99999999999999999999A4", ("2 to 8",)),
        ("--arch resnet21", ("'resnet21'", "resnet20")),
        ("--arch signal-convnet", ("signal-convnet", "(channels, length)")),
        ("--arch no_such_module:build", ("no_such_module",)),
        ("--holdout 1.5", ("holdout=1.5",)),
        ("--test 0", ("test=0",)),
        ("--limit -1", ("limit=-1",)),
        ("--epochs 0", ("epochs=0",)),
        ("--batch-size 0", ("batch_size=0",)),
        ("--learning-rate 0", ("learning_rate=0",)),
        ("--learning-rate nan", ("learning_rate=nan",)),
        ("--momentum 1", ("momentum=1",)),
        ("--weight-decay inf", ("weight_decay=inf",)),
        ("--warmup 2", ("warmup=2",)),
        ("--threads -1", ("threads -1",)),
        ("--threads 1000000000", ("threads 1000000000",)),
        ("--seed -1", ("seed -1",)),
        ("--seed 99999999999999999999999", ("seed 99999",)),
        ("--learning-rate 1e30 --epochs 3", ("became", "lower rate")),
        pytest.param(
            "--device cuda", ("finds no CUDA",),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)  # fmt: skip
def test_options(options: str, words: tuple[str, ...], obliq: Obliq, way: Way, tmp_path: Path) -> None:
    refused(obliq("train", f"npz:{way.data}", "--out", tmp_path / "out", *options.split()), *words)
    nothing_written(tmp_path)


@pytest.mark.parametrize("words", ["--device tpu", "--preset none", "--epochs many", "--no-such-option", ""])
def test_words_that_do_not_parse_exit_with_2_and_an_explanation(
    words: str, obliq: Obliq, tmp_path: Path
) -> None:
    out = ["--out", tmp_path / "out"] if words else []
    said = obliq("train", "digits", *out, *words.split())
    assert said.status == 2
    assert "obliq train --help" in said.err or "obliq --help" in said.err
    assert "Traceback" not in said.err
    nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("imagenet", ("imagenet", "fashion-mnist")),
        ("fashion-mnist", ("fashion-mnist are missing", "get the four IDX files")),
        ("mnist", ("mnist are missing", "get the four IDX files")),
        ("cifar10", ("cifar10 are missing", "get the official")),
        ("npz:nowhere.npz", ("nowhere.npz",)),
        ("folder:nowhere", ("nowhere",)),
        ("nowhere:data", ("nowhere",)),
    ],
)
def test_missing_data(
    name: str, words: tuple[str, ...], obliq: Obliq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obliq.data.idx_images.DEBIAN", tmp_path / "no such package")
    empty = tmp_path / "empty"
    empty.mkdir()
    folder = ("--data-folder", empty) if ":" not in name else ()
    refused(obliq("train", name, *folder, "--out", tmp_path / "out", *SHORT), *words)
    nothing_written(tmp_path, "empty")


def change_json(folder: Path, **changes: object) -> None:
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def corrupt(folder: Path) -> None:
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 0xFF
    file.write_bytes(data)


def rename_tensor(folder: Path) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    name = next(iter(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]))).encode()
    file.write_bytes(data.replace(name, b"z" * len(name), 1))


DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "corrupted": (corrupt, ("model.safetensors",)),
    "truncated": (truncate, ("model.safetensors",)),
    "renamed tensor": (rename_tensor, ("model.safetensors", "is missing")),
    "no tensors": (lambda folder: (folder / "model.safetensors").unlink(), ("model.safetensors",)),
    "no document": (lambda folder: (folder / "model.json").unlink(), ("model.json",)),
    "empty document": (lambda folder: (folder / "model.json").write_text(""), ("model.json", "JSON")),
    "newer format": (lambda folder: change_json(folder, version=99), ("newer obliq", "99")),
    "other format": (lambda folder: change_json(folder, format="x"), ("not a saved network",)),
    "unknown field": (lambda folder: change_json(folder, extra=1), ("extra",)),
    "damaged record": (lambda folder: (folder / "trace.json").write_text("[1"), ("trace.json",)),
    "damaged request": (lambda folder: (folder / "request.json").write_text("{}"), ("request.json",)),
    "nothing there": (shutil.rmtree, ("there is no folder",)),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_networks(
    damage: Callable[[Path], object], words: tuple[str, ...], obliq: Obliq, own_way: Way, tmp_path: Path
) -> None:
    damage(own_way.original)
    before = content(tmp_path)
    refused(obliq("show", own_way.original), *words)
    refused(obliq("unlearn", own_way.original, "--forget", "class=1", "--out", tmp_path / "x", "oeu"), *words)
    refused(obliq("audit", own_way.original, own_way.unlearned, "--out", tmp_path / "x"), *words)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "recipe", [{"epochs": "many"}, {"epoch": 3}, {"epochs": 3.5}], ids=["text", "unknown", "part"]
)
def test_a_recipe_that_cannot_be_followed(recipe: dict[str, object], obliq: Obliq, own_way: Way) -> None:
    provenance = json.loads((own_way.original / "model.json").read_text())["provenance"]
    change_json(own_way.original, provenance=provenance | {"recipe": provenance["recipe"] | recipe})
    out = own_way.original.parent / "x"
    refused(obliq("retrain", own_way.original, "--forget", "class=1", "--out", out), "epoch")
    assert not out.exists()


def test_data_that_changed_since(obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
    data = tmp_path / "mine.npz"
    np.savez(data, **pictures())
    original = tmp_path / "mine"
    assert obliq("train", f"npz:{data}", "--out", original, *SHORT).status == 0
    np.savez(data, **pictures(seed=1))
    words = ("--forget", "class=1", "--out", tmp_path / "x")
    refused(obliq("unlearn", original, *words, "oeu"), "not what the network was trained on")
    assert not (tmp_path / "x").exists()


def test_diverging_unlearning(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    words = ("unlearn", way.original, "--forget", "class=1", "--out", tmp_path / "x", "fine-tune")
    refused(obliq(*words, "--learning-rate", "1e30"), "became", "lower rate")
    nothing_written(tmp_path)


def test_unlearning_what_unlearned_already(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    words = ("--forget", "class=1", "--out", tmp_path / "x")
    refused(obliq("unlearn", way.unlearned, *words, "oeu"), "is unlearned already")
    refused(obliq("retrain", way.retrained, *words), "is retrained already")


class TestAudit:
    def test_networks_in_the_wrong_place(self, obliq: Obliq, way: Way, tmp_path: Path) -> None:
        out = ("--out", tmp_path / "x")
        original, unlearned, retrained = way.folders
        refused(obliq("audit", original, *out), "1 networks")
        refused(obliq("audit", *out), "0 networks")
        refused(obliq("audit", unlearned, original, *out), "is unlearned; expected original")
        refused(obliq("audit", original, retrained, *out), "is retrained; expected unlearned")
        refused(obliq("audit", original, original, *out), "is original; expected unlearned")
        wrong = obliq("audit", original, unlearned, "--retrained", unlearned, *out)
        refused(wrong, "is unlearned; expected retrained")
        refused(obliq("audit", original, unlearned, unlearned, *out), "names that differ")
        refused(obliq("audit", original, unlearned, "--show-forgotten", -1, *out), "show_forgotten -1")
        nothing_written(tmp_path)

    def test_a_name_that_is_taken(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        taken = tmp_path / "inner" / "retrained"
        shutil.copytree(own_way.unlearned, taken)
        said = obliq("audit", own_way.original, own_way.unlearned, taken, "--out", tmp_path / "x")
        refused(said, "names that differ")

    def test_a_network_from_another_original(self, obliq: Obliq, way: Way, tmp_path: Path) -> None:
        other = tmp_path / "other"
        assert obliq("train", f"npz:{way.data}", "--out", other, *SHORT, "--momentum", "0.5").status == 0
        refused(obliq("audit", other, way.unlearned, "--out", tmp_path / "x"), "not made from this original")
        nothing_written(tmp_path, "other")

    def test_a_network_for_another_request(self, obliq: Obliq, way: Way, tmp_path: Path) -> None:
        other = tmp_path / "other"
        assert obliq("retrain", way.original, "--forget", "class=1", "--out", other).status == 0
        said = obliq("audit", *way.folders[:2], "--retrained", other, "--out", tmp_path / "x")
        refused(said, "another request")

    def test_without_the_request(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        out = ("--out", tmp_path / "x")
        (own_way.retrained / "request.json").unlink()
        said = obliq("audit", *own_way.folders[:2], "--retrained", own_way.retrained, *out)
        refused(said, "retrained comes without a request")
        (own_way.unlearned / "request.json").unlink()
        refused(obliq("audit", *own_way.folders[:2], *out), "comes without request.json")
        assert obliq("show", own_way.unlearned).status == 0

    def test_a_request_that_was_exchanged(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        shutil.copy(own_way.retrained / "request.json", own_way.unlearned / "request.json")
        said = obliq("audit", *own_way.folders[:2], "--out", tmp_path / "x")
        refused(said, "not the request that the network beside it answers")

    def test_a_request_of_other_samples(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        file = own_way.unlearned / "request.json"
        request = json.loads(file.read_text())
        file.write_text(json.dumps(request | {"ids": request["ids"][:-1]}))
        refused(obliq("audit", *own_way.folders[:2], "--out", tmp_path / "x"), "digest")


class TestWhereResultsGo:
    def test_what_exists_is_kept(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        before = content(tmp_path)
        taken = own_way.unlearned
        request = ("--forget", "class=1", "--out", taken)
        refused(obliq("train", f"npz:{own_way.data}", "--out", taken, *SHORT), "exists already")
        refused(obliq("unlearn", own_way.original, *request, "oeu"), "exists already")
        refused(obliq("retrain", own_way.original, *request), "exists already")
        refused(obliq("audit", *own_way.folders[:2], "--out", taken), "exists already")
        refused(obliq("demo", "--out", taken), "exists already")
        assert content(tmp_path) == before

    @pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "link", "dangling link"])
    def test_what_is_not_ours_is_never_replaced(
        self, kind: str, obliq: Obliq, own_way: Way, tmp_path: Path
    ) -> None:
        taken = tmp_path / "thesis"
        if "folder" in kind:
            taken.mkdir()
            if kind == "folder":
                (taken / "chapter.txt").write_text("ten years")
        elif kind == "file":
            taken.write_text("ten years")
        else:
            taken.symlink_to(own_way.original if kind == "link" else tmp_path / "nowhere")
        before = content(tmp_path)
        words = ("--out", taken, "--overwrite")
        refused(obliq("train", f"npz:{own_way.data}", *words, *SHORT), "no folder made by obliq")
        refused(obliq("audit", *own_way.folders[:2], *words), "no folder made by obliq")
        refused(obliq("demo", *words), "no folder made by obliq")
        assert content(tmp_path) == before
        assert taken.is_symlink() == ("link" in kind)

    @pytest.mark.parametrize("name", [".", "..", "/"])
    def test_names_that_are_none(self, name: str, obliq: Obliq, way: Way) -> None:
        words = ("train", f"npz:{way.data}", "--out", name, *SHORT)
        refused(obliq(*words), "name of its own")
        refused(obliq(*words, "--overwrite"), "name of its own")

    def test_below_a_file(self, obliq: Obliq, way: Way, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        said = obliq("train", f"npz:{way.data}", "--out", tmp_path / "file" / "out", *SHORT)
        refused(said, "cannot write", "Not a directory")
        nothing_written(tmp_path, "file")

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_no_space_left(
        self, overwrite: bool, obliq: Obliq, own_way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(self: Path, data: bytes) -> int:
            with self.open("wb") as half:
                half.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        before = content(tmp_path)
        out = (own_way.original, "--overwrite") if overwrite else (tmp_path / "x",)
        monkeypatch.setattr(Path, "write_bytes", full)
        said = obliq("train", f"npz:{own_way.data}", "--out", *out, *SHORT)
        refused(said, "cannot write", "No space left")
        assert content(tmp_path) == before
        nothing_written(tmp_path, "original", "unlearned", "retrained")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), ("not enough memory",)),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"), ("not enough memory",)),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), ("not enough memory",)),
        (
            PermissionError(errno.EACCES, "Permission denied", "/some/file"),
            ("/some/file: Permission denied",),
        ),
        (OSError("strange"), ("strange",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_machine_refuses_is_one_line_too(
    error: Exception, words: tuple[str, ...], obliq: Obliq, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(error, monkeypatch)
    refused(obliq("show", "x"), *words)


def refuse(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    from obliq.cli import main as module
    from obliq.cli.arguments import Show

    def fail(*given: object) -> None:
        raise error

    monkeypatch.setitem(__import__("sys").modules[module.__module__].ACTIONS, Show, fail)


def test_a_mistake_of_ours_keeps_its_traceback(obliq: Obliq, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(ZeroDivisionError("a mistake"), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        obliq("show", "x")


def test_an_interrupt_is_one_line(obliq: Obliq, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(KeyboardInterrupt(), monkeypatch)
    said = obliq("show", "x")
    assert (said.status, said.err) == (130, "obliq: interrupted; nothing half-written is left\n")


def test_letters_that_the_terminal_lacks(way: Way, tmp_path: Path) -> None:
    folder = tmp_path / "Müller\udcff\x1b[2J"
    shutil.copytree(way.original, folder)
    (folder / "model.safetensors").unlink()
    said = forked(tmp_path, "show", folder, prepare=lambda: sys.stderr.reconfigure(encoding="ascii"))
    refused(said, "M\\xfcller", "model.safetensors")
    assert "\x1b" not in said.err


def test_a_reader_that_has_had_enough(way: Way, tmp_path: Path) -> None:
    def read_nothing() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)

    said = forked(tmp_path, "show", way.original, prepare=read_nothing)
    assert (said.status, said.out, said.err) == (141, "", "")


def test_a_real_limit_on_files(way: Way, tmp_path: Path) -> None:
    """As on a full disk, writing fails half-way."""
    words = ("train", f"npz:{way.data}", "--out", tmp_path / "out", *SHORT)
    limit = (resource.RLIMIT_FSIZE, (9000, 9000))
    refused(
        forked(tmp_path, *words, prepare=lambda: resource.setrlimit(*limit)), "cannot write", "File too large"
    )
    nothing_written(tmp_path)


def test_termination_in_the_middle_is_orderly(tmp_path: Path) -> None:
    """The demo has its draft folder all the time; it must be gone when the process is."""

    def end_soon() -> None:
        signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, 0.5)

    said = forked(tmp_path, "demo", "--out", tmp_path / "out", "--threads", 1, prepare=end_soon)
    assert (said.status, said.out) == (143, "")
    assert "Traceback" not in said.err
    nothing_written(tmp_path)


def test_ctrl_c_in_the_middle(tmp_path: Path) -> None:
    process = start("demo", "--out", tmp_path / "out", "--threads", 1)
    assert process.stderr is not None
    assert "training the original" in process.stderr.readline()
    assert [file for file in tmp_path.iterdir() if file.name.startswith(".out-")]
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out == ""
    assert "Traceback" not in err
    assert process.returncode == 130
    assert err.splitlines()[-1] == "obliq: interrupted; nothing half-written is left"
    nothing_written(tmp_path)
