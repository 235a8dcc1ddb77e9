"""Make a folder of hostile files: safetensors and JSON (as network folders) and ONNX.

    python -m tests.hostile.make OUT

Each is one alteration of a harmless network, named for what is wrong with it; `tests/hostile` checks that
each is refused with one typed error. None does harm when read by a library that does what it should.
"""

import shutil
import sys
from pathlib import Path

from tests.hostile import networks, onnx_files, quantizer_files, sample


def make(out: Path) -> list[Path]:
    """Everything, each under a name of its own; ONNX files end in `.onnx`."""
    out.mkdir(parents=True)
    made = []
    sample.folder(out / ".harmless")
    for name, alter in networks.ALTERED.items():
        folder = Path(shutil.copytree(out / ".harmless", out / name))
        alter(folder)
        made.append(folder)
    shutil.rmtree(out / ".harmless")
    for name, content in (onnx_files.all_files() | quantizer_files.all_files()).items():
        file = out / f"{name}.onnx"
        file.write_bytes(content)
        made.append(file)
    return [*made, _linked(out), _enormous(out)]


def _linked(out: Path) -> Path:
    link = out / "link to another file.onnx"
    link.symlink_to("/etc/passwd")
    return link


def _enormous(out: Path) -> Path:
    file = out / "terabyte.onnx"
    with file.open("wb") as opened:
        opened.truncate(2**40)  # sparse: it takes no room on the disk
    return file


if __name__ == "__main__":
    print(len(make(Path(sys.argv[1]))), "hostile files in", sys.argv[1])
