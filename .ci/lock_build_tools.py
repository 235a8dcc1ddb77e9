"""Print what builds the wheel by version and hash, for `pip install --require-hashes`: `make build-tools`.

    python .ci/lock_build_tools.py > .ci/build-tools.txt

It locks the newest releases that pip finds of the build system in pyproject.toml, of `build`, and of what these need.
All of them are wheels for every platform, so one hash each holds on Linux and macOS and for every Python that the
project supports.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

FOR_ALL = "-none-any.whl"


def main() -> None:
    """One line a package."""
    system = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["build-system"]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--report", "-"]
    found = subprocess.run([*command, *system["requires"], "build"], check=True, stdout=subprocess.PIPE)
    print("# Written by `make build-tools`; checked by `make dist`.")
    for one in sorted(
        json.loads(found.stdout)["install"], key=lambda one: str(one["metadata"]["name"]).lower()
    ):
        name, version = one["metadata"]["name"], one["metadata"]["version"]
        if not one["download_info"]["url"].endswith(FOR_ALL):
            sys.exit(f"{name} {version} is built for one platform; expected a wheel for all")
        digest = one["download_info"]["archive_info"]["hashes"]["sha256"]
        print(f"{name}=={version} --hash=sha256:{digest}")


if __name__ == "__main__":
    main()
