"""The content of exported files: what counts, what does not, and what is not read."""

from collections.abc import Callable
from typing import Any

import pytest

from obliq.errors import ModelError, PatchError
from obliq.export import export
from obliq.export.onnx_content import onnx_content, with_content
from obliq.patch import Content, Record, digest_of
from tests.patch.networks import SHAPE, saved_pair

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")


@pytest.fixture(scope="module")
def exported() -> bytes:
    return export(saved_pair()[0].model, SHAPE, "compact")


def edited(data: bytes, edit: Callable[[Any], object]) -> bytes:
    model = onnx.load_model_from_string(data)
    edit(model)
    written: bytes = model.SerializeToString()
    return written


def test_values_come_back(exported: bytes) -> None:
    content = onnx_content(exported)
    assert {record.bits for record in content} == {None, 4, 8}
    assert with_content(exported, content) == exported


def test_the_digest_is_of_the_content_and_not_of_the_container(exported: bytes) -> None:
    def elsewhere(model: Any) -> None:
        model.producer_name = "another"
        model.doc_string = "a note"
        tensors = [*model.graph.initializer]
        del model.graph.initializer[:]
        model.graph.initializer.extend(reversed(tensors))

    other = edited(exported, elsewhere)
    assert other != exported
    assert digest_of(onnx_content(other)) == digest_of(onnx_content(exported))


def _weight(model: Any) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name.endswith(".weight"))


CHANGES: dict[str, Callable[[Any], object]] = {
    "a value": lambda model: setattr(_weight(model), "raw_data", bytes(len(_weight(model).raw_data))),
    "an operator": lambda model: model.graph.node.add().CopyFrom(model.graph.node[0]),
    "an attribute": lambda model: setattr(model.graph.node[-1].attribute.add(), "name", "axis"),
    "operators": lambda model: setattr(model.opset_import[0], "version", 24),
    "the input": lambda model: setattr(model.graph.input[0], "name", "x"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_counts(change: Callable[[Any], object], exported: bytes) -> None:
    assert digest_of(onnx_content(edited(exported, change))) != digest_of(onnx_content(exported))


def _outside(model: Any) -> None:
    weight = _weight(model)
    weight.data_location = onnx.TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def _subgraph(model: Any) -> None:
    attribute = model.graph.node[0].attribute.add()
    attribute.name, attribute.type = "then_branch", onnx.AttributeProto.GRAPH


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "data elsewhere": (_outside, "lies in another file"),
    "a graph inside": (_subgraph, "holds a graph"),
    "another domain": (lambda model: setattr(model.graph.node[0], "domain", "evil"), "another domain"),
    "a function": (lambda model: model.functions.add(), "functions"),
    "sparse": (lambda model: model.graph.sparse_initializer.add(), "sparse"),
    "training": (lambda model: model.training_info.add(), "training"),
    "no graph": (lambda model: model.ClearField("graph"), "no graph"),
    "twice": (lambda model: model.graph.initializer.append(_weight(model)), "one name"),
    "short": (lambda model: setattr(_weight(model), "raw_data", b"\0"), "1 bytes of raw data; expected"),
    "negative size": (lambda model: _weight(model).dims.append(-1), "bytes of raw data; expected"),
    "huge": (lambda model: _weight(model).dims.append(2**62), "bytes of raw data; expected"),
    "text": (lambda model: setattr(_weight(model), "data_type", 8), "has type STRING"),
    "unknown type": (lambda model: setattr(_weight(model), "data_type", 99), "has type number 99"),
}


@pytest.mark.parametrize(("edit", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_read(edit: Callable[[Any], object], message: str, exported: bytes) -> None:
    with pytest.raises(ModelError, match=message):
        onnx_content(edited(exported, edit))


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"no model"])
def test_bytes_that_are_no_model(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"ONNX|no graph"):
        onnx_content(data)


def test_content_of_another_form_is_refused(exported: bytes) -> None:
    content = onnx_content(exported)
    wrong: Content = (*content[:-1], Record(b"other", content[-1].bits, content[-1].values))
    with pytest.raises(PatchError, match="another form"):
        with_content(exported, wrong)
