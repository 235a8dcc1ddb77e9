"""`obliq patch` on model folders and exported files: all or nothing, and never a third network."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.checkpoints import load_checkpoint, save_checkpoint
from obliq.cli import main
from obliq.errors import ModelError
from obliq.exporting import export_file, read_exported
from obliq.quantization import weights_digest
from tests.cli.conftest import Said, obliq  # noqa: F401 - a fixture
from tests.cli.test_help import unexplained
from tests.patch.networks import SHAPE, saved_pair

Obliq = Callable[..., Said]
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks as model folders, and the patch between them."""
    folder = tmp_path_factory.mktemp("networks")
    for name, saved in zip(("old", "new"), saved_pair(), strict=True):
        save_checkpoint(folder / name, saved)
    words = [folder / "old", folder / "new", "--sequence", 3, "--out", folder / "patch"]
    assert main(["patch", "make", "--plain", *map(str, words)]) == 0
    return folder


def test_from_folder_to_folder(folders: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    result = obliq(
        "patch", "apply", folders / "old", folders / "patch", "--out", tmp_path / "patched", "--json"
    )
    assert (result.status, result.err) == (0, "")
    patched, wanted = (load_checkpoint(path) for path in (tmp_path / "patched", folders / "new"))
    assert (
        weights_digest(patched.model)
        == weights_digest(wanted.model)
        == json.loads(result.out)["weights_digest"]
    )
    assert json.loads(result.out)["floor"] == 3
    assert patched.provenance.role == "unlearned"
    assert patched.provenance.base_digest == weights_digest(saved_pair()[0].model)
    tensors = [(path / "model.safetensors").read_bytes() for path in (tmp_path / "patched", folders / "new")]
    assert tensors[0] == tensors[1]
    assert not (tmp_path / "patched" / "latent.safetensors").exists()


def test_patches_are_the_same_every_time(folders: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    words = (
        "patch",
        "make",
        "--plain",
        folders / "old",
        folders / "new",
        "--sequence",
        3,
        "--out",
        tmp_path / "again",
    )
    result = obliq(*words)
    assert result.status == 0
    assert "reveals what was forgotten" in result.out
    assert "--new-key" in result.out
    assert (tmp_path / "again").read_bytes() == (folders / "patch").read_bytes()
    assert (
        obliq(*words).err
        == f"obliq: error: {tmp_path / 'again'} exists already; choose another --out or pass --overwrite\n"
    )
    assert obliq(*words, "--overwrite").status == 0


def test_information_says_what_leaks(folders: Path, obliq: Obliq) -> None:  # noqa: F811
    result = obliq("patch", "info", folders / "patch")
    assert result.status == 0
    assert "patch number 3" in result.out
    assert weights_digest(saved_pair()[1].model) in result.out
    assert "Anyone who holds the old network and this patch" in result.out


def test_an_empty_patch_is_said_to_be_empty(folders: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    made = obliq("patch", "make", "--plain", folders / "old", folders / "old", "--out", tmp_path / "empty")
    for said in (made, obliq("patch", "info", tmp_path / "empty")):
        assert "The patch is empty: both networks hold the same integers" in said.out
        assert "reveals" not in said.out


@pytest.mark.parametrize(
    ("base", "options", "damage", "message"),
    [
        ("new", (), None, "other values"),
        ("old", ("--floor", 3), None, "sequence 3; expected more than 3"),
        ("old", ("--floor", -1), None, "floor -1"),
        ("old", (), -40, "cut off or altered"),
        ("old", ("--key-file", "key"), None, "not an encrypted patch"),
        ("nothing", (), None, "expected a saved network, or a file in .onnx or .pte"),
    ],
    ids=["wrong base", "rollback", "floor", "altered", "not encrypted", "no network"],
)
def test_refusals_leave_nothing(
    base: str,
    options: tuple[object, ...],
    damage: int | None,
    message: str,
    folders: Path,
    tmp_path: Path,
    obliq: Obliq,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("key").write_bytes(KEY)
    Path("key").chmod(0o600)
    patch = bytearray((folders / "patch").read_bytes())
    if damage:
        patch[damage] ^= 1
    Path("patch").write_bytes(patch)
    if options[:1] == ("--key-file",):
        pytest.importorskip("cryptography", reason="the extra `patch` is not installed")
    result = obliq("patch", "apply", folders / base, "patch", "--out", "patched", *options)
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert message in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "patch"]


@pytest.mark.parametrize("form", ["integer", "compact", "float"])
def test_exported_files(form: str, folders: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    """A patched file has the very bytes of the new network's export."""
    pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    old, new, patched, patch = (tmp_path / name for name in ("old.onnx", "new.onnx", "patched.onnx", "patch"))
    for file, saved in zip((old, new), saved_pair(), strict=True):
        file.write_bytes(export_file(saved.model, SHAPE, form))
    assert obliq("patch", "make", "--plain", old, new, "--out", patch).status == 0
    assert obliq("patch", "apply", old, patch, "--out", patched).status == 0
    assert patched.read_bytes() == new.read_bytes()
    result = obliq("patch", "apply", new, patch, "--out", tmp_path / "no.onnx")
    assert "other values" in result.err
    result = obliq("patch", "apply", folders / "old", patch, "--out", tmp_path / "no")
    assert "another form" in result.err
    result = obliq("patch", "make", "--plain", folders / "old", new, "--out", tmp_path / "no")
    assert "expected two folders or two files" in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "new.onnx",
        "old.onnx",
        "patch",
        "patched.onnx",
        "patched.onnx.floor",
    ]


@pytest.mark.parametrize("place", ["old", "new", "base"])
def test_files_that_a_runtime_must_not_see(place: str, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    """The strict reader's refusal, wherever such a file is given."""
    onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    old, new, hostile, patch = (tmp_path / name for name in ("old.onnx", "new.onnx", "bad.onnx", "patch"))
    for file, saved in zip((old, new), saved_pair(), strict=True):
        file.write_bytes(export_file(saved.model, SHAPE, "integer"))
    assert obliq("patch", "make", "--plain", old, new, "--out", patch).status == 0
    model = onnx.load_model_from_string(old.read_bytes())
    model.metadata_props.add(key="a", value="b")
    hostile.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as refused:
        read_exported(hostile)
    words = {
        "old": ("make", "--plain", hostile, new),
        "new": ("make", "--plain", old, hostile),
        "base": ("apply", hostile, patch),
    }
    result = obliq("patch", *words[place], "--out", tmp_path / "patched.onnx")
    assert (result.status, result.err) == (1, f"obliq: error: {refused.value}\n")
    assert not (tmp_path / "patched.onnx").exists()


def test_networks_of_another_form(folders: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    save_checkpoint(tmp_path / "other", saved_pair("W2A2")[0])
    result = obliq("patch", "apply", tmp_path / "other", folders / "patch", "--out", tmp_path / "patched")
    assert "made for a network of another form" in result.err
    result = obliq(
        "patch", "make", "--plain", folders / "old", tmp_path / "other", "--out", tmp_path / "patched"
    )
    assert "expected them to differ in values only" in result.err
    assert not (tmp_path / "patched").exists()


def test_encrypted(folders: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    pytest.importorskip("cryptography", reason="the extra `patch` is not installed")
    key, other, sealed = (tmp_path / name for name in ("key", "other", "sealed"))
    key.write_bytes(KEY)
    other.write_bytes(KEY[::-1])
    for file in (key, other):
        file.chmod(0o600)
    make = ("patch", "make", folders / "old", folders / "new", "--sequence", 3, "--key-file", key)
    assert obliq(*make, "--out", sealed).status == 0
    assert (folders / "patch").read_bytes()[16:48] not in sealed.read_bytes()
    assert obliq("patch", "info", sealed, "--key-file", key).status == 0
    assert "it is encrypted; expected --key-file" in obliq("patch", "info", sealed).err
    assert "encrypted with another key" in obliq("patch", "info", sealed, "--key-file", other).err
    apply = ("patch", "apply", folders / "old", sealed, "--out", tmp_path / "patched")
    assert obliq(*apply, "--key-file", key).status == 0
    info = ("patch", "info", sealed, "--key-file", key)
    for mode in (0o640, 0o604, 0o622):
        key.chmod(mode)
        assert f"others may read or write it (mode {mode:o})" in obliq(*info).err
        assert obliq(*info, "--allow-readable-key").status == 0
    key.chmod(0o600)
    key.write_bytes(KEY + b"\n")
    assert "the key has 33 bytes; expected 32" in obliq(*make, "--out", tmp_path / "next").err


def test_a_patch_is_encrypted_unless_somebody_decides_otherwise(
    folders: Path,
    tmp_path: Path,
    obliq: Obliq,  # noqa: F811
) -> None:
    pytest.importorskip("cryptography", reason="the extra `patch` is not installed")
    make = ("patch", "make", folders / "old", folders / "new", "--out", tmp_path / "patch")
    undecided = obliq(*make)
    assert (undecided.status, undecided.err.count("\n")) == (1, 1)
    commands = [words for words in undecided.err.split("'") if words.startswith("obliq patch make")]
    assert [words.split()[-2:] for words in commands] == [
        ["--new-key", "keys/fleet.key"],
        [commands[1].split()[-2], "--plain"],
    ]
    assert "given; expected one of" in obliq(*make, "--plain", "--new-key", tmp_path / "key").err
    assert "is where the patch goes" in obliq(*make, "--overwrite", "--new-key", tmp_path / "patch").err
    assert list(tmp_path.iterdir()) == []
    beside = obliq(*make, "--new-key", tmp_path / "key")
    assert (beside.status, "WARNING: the key lies in the folder of the patch" in beside.out) == (0, True)
    apart = obliq(*make[:-1], tmp_path / "sent" / "patch", "--new-key", tmp_path / "apart")
    assert (apart.status, "WARNING" in apart.out) == (0, False)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert obliq("patch", "info", tmp_path / "patch", "--key-file", tmp_path / "key").status == 0
    kept = (tmp_path / "key").read_bytes()
    again = obliq(*make, "--overwrite", "--new-key", tmp_path / "key")
    assert (again.status, (tmp_path / "key").read_bytes() == kept) == (1, True)
    assert obliq(*make[:-1], tmp_path / "patch" / "below", "--new-key", tmp_path / "other").status == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("action", ["make", "apply", "info"])
def test_help(action: str, obliq: Obliq) -> None:  # noqa: F811
    result = obliq("patch", action, "--help")
    assert (result.status, unexplained(result.out)) == (0, [])
    assert f"Example: obliq patch {action}" in result.out
