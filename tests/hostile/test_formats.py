"""A few altered files of every format: an answer or an error in one line. `benchmarks/mutations.py` reads many more."""

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed, which some files are made with")

from tests.hostile.formats import choices, formats, outcome_of

FILES = 20
FOUND = {
    ".pt": (144, 429),  # control characters in errors of torch
    "folder of PNG": (408, 5637),  # warnings of Pillow
    "answers as .npz": (781,),  # control characters in the name of an array
    "pickle 2 of CIFAR-10": (758,),
    "pickle 4 of CIFAR-10": (1078,),  # control characters in the name of a function
}
"""Files that `benchmarks/mutations.py` found to end otherwise, by format."""


@pytest.fixture(autouse=True)
def _without_shape_checks() -> Iterator[None]:
    """As users run it: the checks of the tests would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_altered_files_of_every_format(tmp_path: Path) -> None:
    names, wrong = set(), []
    for format in formats(tmp_path):
        names.add(format.name)
        assert outcome_of(lambda format=format: format.read(format.good)) == "accepted", format.name
        for number in (*range(FILES), *FOUND.get(format.name, ())):
            content = format.altered(choices(format.name, number))
            outcome = outcome_of(lambda format=format, content=content: format.read(content))
            if outcome not in ("accepted", "refused"):
                wrong.append((format.name, number, outcome))
    assert wrong == []
    assert {"ONNX", "ONNX of others", ".pt", "npz", "folder of PNG", "request.json", "audit.json"} <= names
