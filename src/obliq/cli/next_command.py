"""The command that a verb proposes as the next one: it must run as it is when it is pasted."""

from pathlib import Path


def free_name(folder: Path, name: str) -> Path:
    """A path next to `folder` at which nothing stands yet: `name`, or `name` with a number."""
    free, number = folder.with_name(name), 1
    while free.exists() or free.is_symlink():
        number += 1
        free = folder.with_name(f"{Path(name).stem}-{number}{Path(name).suffix}")
    return free


def repeated_options(
    data_folder: Path | None, data: str | None = None, architecture: str | None = None
) -> list[str | Path]:
    """Options that the next verb needs too: where data are, and the user's own code for data and network."""
    words: list[str | Path] = [] if data_folder is None else ["--data-folder", data_folder]
    if data:
        from obliq.data.datasets import runs_code

        words += ["--data", data] if runs_code(data) else []
    if architecture and ":" in architecture:
        words += ["--arch", architecture]
    return words
