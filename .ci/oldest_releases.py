"""Print the oldest release of each package that pyproject.toml allows, as constraints of pip: `make test-oldest`."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("onnx", "patch", "ray", "serve")
"""What the tests need in addition; tools such as pytest may be newer."""


def main() -> None:
    """One line a package."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for line in (*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra])):
        requirement = Requirement(line)
        if requirement.name == project["name"]:  # an extra that brings another one
            continue
        lowest = [bound.version for bound in requirement.specifier if bound.operator == ">="]
        print(f"{requirement.name}=={lowest[0]}")


if __name__ == "__main__":
    main()
