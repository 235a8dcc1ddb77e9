"""The command that a verb proposes as the next one: it must run as it is when it is pasted."""

from importlib.util import find_spec
from pathlib import Path


def typed(word: str | Path) -> str:
    """A word as it must be typed: a path that begins with a hyphen would be read as an option."""
    text = str(word)
    return f"./{text}" if isinstance(word, Path) and text.startswith("-") else text


def free_name(folder: Path, name: str) -> Path:
    """A path next to `folder` at which nothing stands yet: `name`, or `name` with a number."""
    free, number = folder.with_name(name), 1
    while free.exists() or free.is_symlink():
        number += 1
        free = folder.with_name(f"{Path(name).stem}-{number}{Path(name).suffix}")
    return free


def patching_command(result: Path, old: str | Path, new: str | Path) -> list[str | Path]:
    """A patch from one network to another, beside a result; its key is kept apart from it."""
    words: list[str | Path] = ["patch", "make", old, new, "--out", free_name(result, "forget.patch")]
    if find_spec("cryptography") is None:
        return [*words, "--plain"]
    return [*words, "--new-key", free_name(result.with_name("keys") / "x", "fleet.key")]


def repeated_options(
    data_folder: Path | None,
    data: str | None = None,
    architecture: str | None = None,
    *,
    stored: str | None = None,
) -> list[str | Path]:
    """Options that the next verb needs too: where data are, and the user's own code for data and network.

    Args:
        data_folder: where the files of a built-in set are.
        data: the name that the user gave to `--data`, as the folder of the network may name another place.
        architecture: what builds the network.
        stored: the name that the folder of the network holds; it is repeated only if it runs code.
    """
    words: list[str | Path] = [] if data_folder is None else ["--data-folder", data_folder]
    if data is None and stored:
        from obliq.data.datasets import runs_code

        data = stored if runs_code(stored) else None
    words += ["--data", data] if data else []
    if architecture and ":" in architecture:
        words += ["--arch", architecture]
    return words
