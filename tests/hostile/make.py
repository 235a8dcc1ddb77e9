"""Make a folder of hostile files: safetensors and JSON (as network folders), ONNX, and ExecuTorch programs.

    python -m tests.hostile.make OUT

Each is one alteration of a harmless network, named for what is wrong with it; `tests/hostile` checks that
each is refused with one typed error. None does harm when read by a library that does what it should.
"""

import shutil
import sys
from pathlib import Path

from tests.hostile import executorch_files, networks, onnx_files, onnx_forms_files, quantizer_files, sample


def make(out: Path) -> list[Path]:
    """Everything, each under a name of its own: `.onnx` files, and `.pte` where ExecuTorch is installed."""
    out.mkdir(parents=True)
    made = []
    sample.folder(out / ".harmless")
    for name, alter in networks.ALTERED.items():
        folder = Path(shutil.copytree(out / ".harmless", out / name))
        alter(folder)
        made.append(folder)
    shutil.rmtree(out / ".harmless")
    for name, content in (
        onnx_files.all_files() | onnx_forms_files.all_files() | quantizer_files.all_files()
    ).items():
        file = out / f"{name}.onnx"
        file.write_bytes(content)
        made.append(file)
    programs = executorch_files.all_files()
    for name, content in programs.items():
        file = out / f"{name}.pte"
        file.write_bytes(content)
        made.append(file)
    for suffix in (".onnx", ".pte") if programs else (".onnx",):
        made += [_linked(out, suffix), _enormous(out, suffix)]
    return made


def _linked(out: Path, suffix: str) -> Path:
    link = out / f"link to another file{suffix}"
    link.symlink_to("/etc/passwd")
    return link


def _enormous(out: Path, suffix: str) -> Path:
    file = out / f"terabyte{suffix}"
    with file.open("wb") as opened:
        opened.truncate(2**40)  # sparse: it takes no room on the disk
    return file


if __name__ == "__main__":
    print(len(make(Path(sys.argv[1]))), "hostile files in", sys.argv[1])
