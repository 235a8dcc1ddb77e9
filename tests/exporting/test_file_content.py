"""The content of exported files: what counts, what does not, and what is not read."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from obliq.errors import ModelError, PatchError
from obliq.exporting import export_file, graph_in, graph_of, parse_exported, patch_file, to_onnx
from obliq.exporting.content import content_of_graph
from obliq.exporting.operations import Convolution, Linear
from obliq.patch import Content, TensorRecord, content_digest, decode_patch, encode_patch
from obliq.patch.content import to_device_image
from obliq.patch.decoder import image_content_digest as digest_on_device
from obliq.patch.decoder import image_form_digest, read_records
from tests.patch.networks import SHAPE, saved_pair

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")


def content_of(data: bytes) -> Content:
    return parse_exported(data).content


FORMS = ("integer", "compact", "float")


@pytest.fixture(scope="module", params=FORMS)
def exported(request: pytest.FixtureRequest) -> bytes:
    return export_file(saved_pair()[0].model, SHAPE, request.param)


@pytest.fixture(scope="module")
def compact() -> bytes:
    return export_file(saved_pair()[0].model, SHAPE, "compact")


def edited(data: bytes, edit: Callable[[Any], object]) -> bytes:
    model = onnx.load_model_from_string(data)
    edit(model)
    written: bytes = model.SerializeToString()
    return written


def test_values_come_back(exported: bytes) -> None:
    assert patch_file(parse_exported(exported), content_of(exported)) == exported


def test_codes_are_codes_and_the_rest_is_words(compact: bytes) -> None:
    assert {record.bits for record in content_of(compact)} == {None, 4, 8}


def test_audit_patch_and_device_give_one_digest(exported: bytes) -> None:
    content = content_of(exported)
    image = to_device_image(content)
    assert (
        parse_exported(exported).content_digest
        == content_digest(content)
        == digest_on_device(image, read_records(image)).hex()
    )


def test_the_digest_is_of_the_content_and_not_of_the_container(exported: bytes) -> None:
    def elsewhere(model: Any) -> None:
        tensors = [*model.graph.initializer]
        del model.graph.initializer[:]
        model.graph.initializer.extend(reversed(tensors))

    other = edited(exported, elsewhere)
    assert other != exported
    assert content_digest(content_of(other)) == content_digest(content_of(exported))


def test_integer_and_compact_file_are_one_network() -> None:
    old, new = ({form: export_file(saved.model, SHAPE, form) for form in FORMS} for saved in saved_pair())
    for files in (old, new):
        assert content_digest(content_of(files["integer"])) == content_digest(content_of(files["compact"]))
        assert content_digest(content_of(files["integer"])) != content_digest(content_of(files["float"]))
    patches = {
        encode_patch(content_of(old[before]), content_of(new[after]))
        for before in ("integer", "compact")
        for after in ("integer", "compact")
    }
    (patch,) = patches
    for form in ("integer", "compact"):
        assert patch_file(parse_exported(old[form]), decode_patch(patch, content_of(old[form]))) == new[form]
    with pytest.raises(PatchError, match="the new network has"):
        encode_patch(content_of(old["integer"]), content_of(old["float"]))


def test_a_device_may_pack_codes_as_its_file_does(compact: bytes) -> None:
    integer = export_file(saved_pair()[0].model, SHAPE, "integer")
    images = [to_device_image(content_of(data)) for data in (integer, compact)]
    assert len(images[1]) < 0.7 * len(images[0])
    assert len({digest_on_device(image, read_records(image)) for image in images}) == 1
    assert len({image_form_digest(read_records(image)) for image in images}) == 1


def test_codes_that_fewer_bits_explain_are_still_one_network() -> None:
    """A layer of even codes alone could have had a bit less: the compact file cannot say so, its digest does."""
    graph = graph_of(saved_pair()[0].model, SHAPE)
    steps = tuple(
        replace(
            step, weights=replace(step.weights, codes=2 * np.trunc(step.weights.codes / 2).astype(np.int8))
        )
        if isinstance(step, Convolution | Linear)
        else step
        for step in graph.steps
    )
    even = replace(graph, steps=steps)
    files = [to_onnx(even, form) for form in ("integer", "compact")]
    read = graph_in(parse_exported(files[0]).contents)
    widths = [
        {step.weights.bits for step in one.steps if isinstance(step, Convolution)} for one in (even, read)
    ]
    assert widths == [{4, 8}, {3, 6}]
    assert (
        len({content_digest(content_of(data)) for data in files} | {content_digest(content_of_graph(even))})
        == 1
    )
    patch = encode_patch(content_of_graph(graph), content_of_graph(even))
    for form, written in zip(("integer", "compact"), files, strict=True):
        old = to_onnx(graph, form)
        patched = patch_file(parse_exported(old), decode_patch(patch, content_of(old)))
        assert content_digest(content_of(patched)) == content_digest(content_of(written))


def _weight(model: Any) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT4)


def _layer(model: Any) -> Any:
    return next(node for node in model.graph.node if node.op_type == "Conv")


def _padded(model: Any) -> None:
    """A picture of the same size, read from a pixel further up and to the left."""
    pads = next(entry for node in model.graph.node for entry in node.attribute if entry.name == "pads")
    del pads.ints[:]
    pads.ints.extend([2, 2, 0, 0])


CHANGES: dict[str, Callable[[Any], object]] = {
    "a value": lambda model: setattr(_weight(model), "raw_data", bytes(len(_weight(model).raw_data))),
    "a setting": _padded,
    "the name of a layer": lambda model: setattr(_layer(model), "name", "another"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_counts(change: Callable[[Any], object], compact: bytes) -> None:
    assert content_digest(content_of(edited(compact, change))) != content_digest(content_of(compact))


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"no model"])
def test_bytes_that_are_no_model(data: bytes) -> None:
    with pytest.raises(ModelError, match="expected"):
        content_of(data)


def test_content_of_another_form_is_refused(compact: bytes) -> None:
    content = content_of(compact)
    wrong: Content = (*content[:-1], TensorRecord(b"other", content[-1].bits, content[-1].values))
    with pytest.raises(PatchError, match="another form"):
        patch_file(parse_exported(compact), wrong)


def test_values_that_no_file_may_hold_are_not_written(compact: bytes) -> None:
    """A patch can be whole and still lead to a file that would harm a runtime."""
    content = content_of(compact)
    at = next(place for place, record in enumerate(content) if b'"scales"' in record.label)
    for harmful in (np.nan, -1.0, 0.0, np.inf):
        values = np.full(len(content[at].values), harmful, np.float32).view(np.uint32)
        wrong = (*content[:at], TensorRecord(content[at].label, None, values), *content[at + 1 :])
        with pytest.raises(PatchError, match="it leads to a file that would be refused"):
            patch_file(parse_exported(compact), wrong)
