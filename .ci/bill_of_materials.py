"""Write what a wheel is made of and needs, as a bill of materials in CycloneDX 1.6 (JSON) next to it, and read it back.

    python .ci/bill_of_materials.py dist/obliq-0.4.0-py3-none-any.whl

The versions are those that are installed where this runs: the ones that the wheel was built and checked with. Packages
of extras are left out. Equal wheels and environments give equal bytes, so there is no time in it.
"""

import json
import sys
import uuid
import zipfile
from hashlib import sha256
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

from check_distribution import required, requirements
from packaging.utils import canonicalize_name, parse_wheel_filename

SUFFIX = ".cdx.json"


def reference(installed: Distribution) -> str:
    """The package URL of a distribution, without the part of a version that names a local build."""
    return f"pkg:pypi/{canonicalize_name(installed.metadata['Name'])}@{installed.version.split('+')[0]}"


def component(installed: Distribution, kind: str = "library") -> dict[str, Any]:
    """One distribution: name, version, and its licence as it states it."""
    metadata = installed.metadata
    expression = metadata.get("License-Expression")
    classified = [
        one.split(" :: ")[-1] for one in metadata.get_all("Classifier") or [] if "License ::" in one
    ]
    licences = [{"license": {"name": name}} for name in classified]
    found: dict[str, Any] = {
        "type": kind,
        "bom-ref": reference(installed),
        "name": canonicalize_name(metadata["Name"]),
        "version": installed.version,
        "purl": reference(installed),
    }
    if expression or licences:
        found["licenses"] = [{"expression": expression}] if expression else licences
    return found


def bill(wheel: Path) -> dict[str, Any]:
    """The bill of one wheel."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    own = PathDistribution(zipfile.Path(wheel, f"{name}-{version}.dist-info/"))
    needed = [found for _, found in sorted(required(own).items())]
    digest = sha256(wheel.read_bytes()).hexdigest()
    described = component(own) | {"hashes": [{"alg": "SHA-256", "content": digest}]}
    by_name = {canonicalize_name(one.metadata["Name"]): one for one in needed}
    extras = dict[
        str, set[str]
    ]()  # which extras of a distribution anything asks for, as torch does of cuda-toolkit
    for one in (own, *needed, *needed):  # twice: extras ask for extras
        name = canonicalize_name(one.metadata["Name"])
        for line in requirements(one, *extras.get(name, ())):
            extras.setdefault(canonicalize_name(line.name), set()).update(line.extras)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {"component": described},
        "components": [component(one) for one in needed],
        "dependencies": [
            {
                "ref": reference(one),
                "dependsOn": sorted(
                    {
                        reference(by_name[canonicalize_name(line.name)])
                        for line in requirements(
                            one, *extras.get(canonicalize_name(one.metadata["Name"]), ())
                        )
                        if canonicalize_name(line.name) in by_name
                    }
                ),
            }
            for one in (own, *needed)
        ],
    }


def check(file: Path, wheel: Path) -> None:
    """Raise unless a bill is of this wheel and complete: each requirement is a component with a version."""
    found = json.loads(file.read_text())
    own = found["metadata"]["component"]
    assert own["hashes"][0]["content"] == sha256(wheel.read_bytes()).hexdigest(), "the bill of another wheel"
    references = [one["bom-ref"] for one in found["components"]]
    assert len(set(references)) == len(references), "a component is listed twice"
    assert all(one["version"] for one in found["components"]), "a component without a version"
    depended = {to for one in found["dependencies"] for to in one["dependsOn"]}
    assert depended == set(references), "what is needed and what is listed differ"


def main(wheel: Path) -> None:
    """Write and check the bill of one wheel."""
    file = wheel.with_name(wheel.name + SUFFIX)
    file.write_text(json.dumps(bill(wheel), indent=1) + "\n")
    check(file, wheel)
    print(f"{file}: {len(json.loads(file.read_text())['components'])} packages")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
