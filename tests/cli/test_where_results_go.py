"""What stands where results shall go is kept, and nothing half-written is left there."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import SHORT, Said, Way
from tests.cli.refusals import content, nothing_written, refused

Obliq = Callable[..., Said]


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
        refused(obliq("train", f"npz:{own_way.data}", *words, *SHORT), "was not written by obliq")
        refused(obliq("audit", *own_way.folders[:2], *words), "was not written by obliq")
        refused(obliq("demo", *words), "was not written by obliq")
        assert content(tmp_path) == before
        assert taken.is_symlink() == ("link" in kind)

    @pytest.mark.parametrize("name", [".", "..", "/"])
    def test_names_that_are_none(self, name: str, obliq: Obliq, way: Way) -> None:
        words = ("train", f"npz:{way.data}", "--out", name, *SHORT)
        refused(obliq(*words), "expected a path that ends in the name of a f")
        refused(obliq(*words, "--overwrite"), "expected a path that ends in the name of a f")

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
