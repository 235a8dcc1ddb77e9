"""What is no result of a cluster is refused in one line, whatever it is."""

import pickle
from typing import Any

import pytest

from obliq.errors import RecordError
from obliq.record.cluster_results import (
    NETWORK_FILES,
    ComputedFiles,
    News,
    require_computed,
    require_news,
    require_words,
)


def made_of(kind: type[Any], **fields: object) -> Any:
    """An object whose fields hold anything, as it may come out of a pickle."""
    found = object.__new__(kind)
    vars(found).update(fields)
    return found


def computed(files: object, error: object = "") -> Any:
    return made_of(ComputedFiles, files=files, error=error)


def news(*steps: object, **fields: object) -> Any:
    return made_of(News, **{"steps": steps, "trainings": {}, **fields})


def test_results_and_news_of_another_form_are_refused() -> None:
    for found, problem in (
        (None, "a NoneType"),
        ({"files": {}}, "a dict"),
        (computed({}), r"files \[\]"),
        (computed({"..": b""}), r"files \['..'\]"),
        (computed({"": b"", "model.json": b""}), r"files \['', 'model.json'\]"),
        (computed({"source.json": b""}), "source.json"),
        (computed({"\x1b[2J": b""}), r"x1b"),
        (computed([]), "files of other types"),
        (computed({"model.json": "{}"}), "files of other types"),
        (computed({1: b""}), "files of other types"),
        (computed({"model.json": bytes(11)}), "1 files of 11 bytes"),
        (computed({}, error=7), "a int"),
        (computed({}, error=None), "a NoneType"),
    ):
        with pytest.raises(
            RecordError, match=f"^a machine of the cluster returned .*{problem}.*; expected "
        ) as raised:
            require_computed(found, NETWORK_FILES, 10)
        assert str(raised.value).isprintable()
    step: tuple[Any, ...] = ("train", 1, 2, {"loss": 0.5})
    assert require_news(pickle.loads(pickle.dumps(News((step,), {}))), 10).steps == (step,)
    for found in (
        "",
        news(7),
        news(step[:3]),
        news(("\x1b", *step[1:])),
        news(("train", "1", 2, {})),
        news((*step[:3], {"loss": "0"})),
        news(steps=[step]),
        news(trainings=None),
        news(trainings={f"{number}": b"" for number in range(65)}),
        news(trainings={"a": bytes(11)}),
    ):
        with pytest.raises(RecordError, match="a machine of the cluster returned"):
            require_news(found, 10)
    assert require_computed(computed({}, "one\nline"), (), 0).error == "one\\nline"
    with pytest.raises(RecordError):
        require_words(b"")
