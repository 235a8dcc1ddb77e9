"""Install a wheel without extras where nothing else is installed, and run the demo from there.

    python .ci/check_distribution.py dist/obliq-0.4.0-py3-none-any.whl

The new environment has exactly the packages that the wheel requires and what those require in turn. They are links
to the packages of the environment that runs this script, so nothing is downloaded: the versions that an index offers
on another day, and other platforms, are not checked.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

EXTRAS = ("onnx", "onnxruntime", "executorch", "cryptography", "ray", "starlette", "uvicorn", "pytest")
"""Modules that only extras bring."""


def required(wheel: Distribution) -> dict[str, Distribution]:
    """The installed distributions that a wheel requires without extras, and those that they require in turn."""
    found: dict[str, Distribution] = {}
    waiting = list(requirements(wheel))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in found or requirement.extras:
            found[name] = distribution(name)
            waiting += requirements(found[name], *requirement.extras)
    return found


def requirements(installed: Distribution, *extras: str) -> list[Requirement]:
    """What a distribution requires on this platform, with some of its extras."""
    listed = [Requirement(line) for line in installed.requires or []]
    return [
        one
        for one in listed
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def link(installed: Distribution, site_packages: Path) -> None:
    """Link each top folder and file of an installed distribution into another environment."""
    for top in {Path(file).parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
        target = site_packages / top
        if not target.exists():  # a namespace that several distributions share is linked once
            target.symlink_to(Path(str(installed.locate_file(top))).resolve())


def run(*command: str | Path, folder: Path) -> str:
    """Standard output of a command; its errors are shown, and a failure ends this script."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=clean, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def main(wheel: Path) -> None:
    """Check one wheel."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    metadata = PathDistribution(zipfile.Path(wheel, f"{name}-{version}.dist-info/"))
    folder = Path(tempfile.mkdtemp(prefix="obliq-"))
    try:
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / "bin" / "python"
        site_packages = Path(
            run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder)
        )
        for installed in required(metadata).values():
            link(installed, site_packages)
        run(
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel.resolve(),
            folder=folder,
        )
        run(python, "-m", "pip", "check", folder=folder)
        absent = f"from importlib.util import find_spec; print([n for n in {EXTRAS} if find_spec(n)])"
        assert run(python, "-c", absent, folder=folder) == "[]", "a package of an extra is visible"

        obliq = folder / "env" / "bin" / "obliq"
        assert run(obliq, "--version", folder=folder) == f"obliq {version}"
        result = json.loads(
            run(obliq, "demo", "--out", "demo", "--threads", "1", "--quiet", "--json", folder=folder)
        )
        assert (folder / "demo" / "report.html").stat().st_size > 10_000
        assert (folder / "demo" / "forget.patch").exists()
        assert result["shipped"]["missing"], "the demo does not state that it wrote no ONNX file"
        assert result["certificate"] is None, "the demo signed a certificate without cryptography"
        print(f"{wheel.name} without extras: the demo runs, and states: {result['shipped']['missing']}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
