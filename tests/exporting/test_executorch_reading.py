"""Programs read back: the integers that were written, and nothing else in the file."""

import functools
import importlib.util
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError, PatchError
from obliq.exporting import Graph, graph_of, parse_exported, patch_file, to_executorch, to_onnx
from obliq.exporting.content import first_difference
from obliq.exporting.description import describe_graph
from obliq.exporting.executorch import reader as reading
from obliq.exporting.executorch.reader import contents_of_program, graph_in_program
from obliq.exporting.executorch.runtime import load_program
from obliq.exporting.executorch.writer import held
from obliq.exporting.operations import Convolution, Linear, MaxPool
from obliq.patch import TensorRecord
from tests.exporting.networks import made
from tests.hostile.mutations import Choices, altered_bytes

for library in ("executorch", "onnx", "onnxruntime"):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: extras `executorch` and `onnx`", allow_module_level=True)
# the library's own imports warn
pytestmark = pytest.mark.filterwarnings("ignore:::(?!obliq)")

NAMES = [("convnet", "W4A4"), ("own inverted", "W8A8")]
"""Clamped bytes, max pools and a matrix; ReLU6, depthwise layers and an addition; gammas of zero in both."""


@functools.cache
def graph(name: str, precision: str) -> Graph:
    model, inputs = made(name, precision)
    return graph_of(model, inputs.shape[1:])


@functools.cache
def program(name: str, precision: str) -> bytes:
    return to_executorch(graph(name, precision))


@pytest.mark.parametrize(("name", "precision"), NAMES)
def test_the_integers_are_those_that_were_written(name: str, precision: str) -> None:
    written = graph(name, precision)
    read = graph_in_program(program(name, precision))
    assert first_difference(read, held(written)) is None
    assert describe_graph(read) == describe_graph(written)


@pytest.mark.parametrize(("name", "precision"), NAMES)
def test_only_large_biases_are_held_otherwise(name: str, precision: str) -> None:
    written, stored = graph(name, precision), held(graph(name, precision))
    assert first_difference(held(stored), stored) is None
    assert first_difference(graph_in_program(program(name, precision)), stored) is None
    moved = 0
    for one, other in zip(written.steps, stored.steps, strict=True):
        if isinstance(one, Convolution | Linear):
            assert isinstance(other, Convolution | Linear)
            before, after = one.weights.bias.astype(np.int64), other.weights.bias.astype(np.int64)
            assert (np.abs(after - before) <= np.abs(before) * 2.0**-20).all()
            assert (after == before)[np.abs(before) < 2**21].all()
            moved += int((after != before).sum())
            assert np.array_equal(one.weights.codes, other.weights.codes)
    assert moved > 0  # the channels whose gamma is zero


def test_a_program_has_the_contents_of_the_onnx_file_of_the_same_network() -> None:
    found = parse_exported(program("convnet", "W4A4"))
    expected = parse_exported(to_onnx(held(graph("convnet", "W4A4"))))
    assert found.content_digest == expected.content_digest


@pytest.fixture
def written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting the same integers gives the same bytes, so they are exported once."""
    good, expected = program("convnet", "W4A4"), held(graph("convnet", "W4A4"))

    def write(given: Graph, inputs: InputContract | None = None) -> bytes:
        same = first_difference(given, expected) is None and inputs is None
        return good if same else to_executorch(given, inputs=inputs)

    monkeypatch.setattr(reading, "to_executorch", write)


def test_whatever_is_added_or_changed_beside_the_integers_is_refused(written_once: None) -> None:
    good = program("convnet", "W4A4")
    contents_of_program(good)
    backend = good.index(b"XnnpackBackend")
    for altered in (
        good + b"\0",
        good[:backend] + b"OtherBackend\0\0" + good[backend + 14 :],
    ):
        with pytest.raises(ModelError, match=r"not what ExecuTorch .* makes of the integers in it; expected"):
            contents_of_program(altered)


def message_of(altered: bytes) -> tuple[str, Graph | None]:
    try:
        return "", graph_in_program(altered)
    except ModelError as error:
        return str(error), None


def test_altered_bytes_are_refused_in_one_line_or_read_as_other_integers() -> None:
    good = program("convnet", "W4A4")
    expected = held(graph("convnet", "W4A4"))
    generator = np.random.default_rng(0)
    outcomes: Counter[str] = Counter()
    for _ in range(600):
        altered = altered_bytes(good, Choices(generator.bytes(32)))
        started = time.process_time()
        message, read = message_of(altered)
        assert time.process_time() - started < 1
        if read is None:
            assert message.isprintable()
            assert "expected" in message
            outcomes["refused"] += 1
        else:
            outcomes["the same" if first_difference(read, expected) is None else "others"] += 1
    assert min(outcomes[kind] for kind in ("refused", "the same", "others")) > 20


def test_other_integers_are_refused_by_their_digest() -> None:
    """XNNPACK's constants are named by their digest, which a single altered code leaves behind."""
    good = program("convnet", "W4A4")
    layer = next(step for step in graph("convnet", "W4A4").steps if step.path == "features.8")
    assert isinstance(layer, Convolution)
    stored = np.ascontiguousarray(layer.weights.wide_codes().transpose(0, 2, 3, 1)).tobytes()
    assert good.count(stored) == 1
    place = good.index(stored) + stored.index(bytes([0]))
    altered = good[:place] + bytes([16]) + good[place + 1 :]
    assert first_difference(graph_in_program(altered), held(graph("convnet", "W4A4"))) == "features.8"
    with pytest.raises(ModelError, match="not what ExecuTorch"):
        contents_of_program(altered)


def test_what_is_no_program_of_this_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    good = program("convnet", "W4A4")
    for data in (b"", b"no program", to_onnx(graph("convnet", "W4A4"))):
        with pytest.raises(ModelError, match="no ExecuTorch program; expected"):
            graph_in_program(data)
    with pytest.raises(ModelError, match="Program without its field segments; expected one"):
        graph_in_program(b"\0\0\0\0ET12" + bytes(100))
    with pytest.raises(ModelError, match=r"methods .* expected forward and network"):
        graph_in_program(good.replace(b"forward", b"FORWARD", 1))
    text = describe_graph(graph("convnet", "W4A4")).encode()
    assert good.count(text) == 1
    for before, after, expected in (
        (b'"weights":[16,1,3,3]', b'"weights":[16,3,1,3]', r"not what ExecuTorch|expected"),
        (b'"weights":[16,1,3,3]', b'"weights":[16,1,3,4]', r"weights of shape .* expected \(16, 1, 3, 4\)"),
        (b'"kind":"MaxPool"', b'"kind":"Flatten"', "of kind 'Flatten'; expected sizes"),
        (b"{", b"[", "expected the description of a network; "),
    ):
        lie = text.replace(before, after, 1)
        assert len(lie) == len(text)
        assert lie != text
        with pytest.raises(ModelError, match=expected):
            contents_of_program(good.replace(text, lie))
    monkeypatch.setattr(reading, "LARGEST_FILE", len(good) - 1)
    with pytest.raises(ModelError, match=f"{len(good)} bytes; expected at most {len(good) - 1}"):
        graph_in_program(good)


def test_how_inputs_come_about_is_in_the_program_and_read_back() -> None:
    contract = InputContract(
        shape=(1, 8, 8),
        axes="channels x height x width",
        stored="uint8",
        divide_by=255.0,
        mean=(0.5,),
        deviation=(0.5,),
        class_names=("cat", "H\u00fcndin", '*/ "eel"\n'),
    )
    written = graph("convnet", "W4A4")
    stated = to_executorch(written, inputs=contract)
    file = parse_exported(stated)
    assert file.contents.inputs == contract
    assert parse_exported(program("convnet", "W4A4")).contents.inputs is None
    assert file.content_digest == parse_exported(program("convnet", "W4A4")).content_digest
    inputs = made("convnet", "W4A4")[1].numpy()[:2]
    plain = load_program(program("convnet", "W4A4"))(inputs)[0]
    np.testing.assert_array_equal(load_program(stated)(inputs)[0], plain)
    text = contract.to_text().encode()
    assert stated.count(text) == 1
    for before, after, refused in (
        (b'"divide_by":255.0', b'"divide_by":0.00 ', "metadata 'inputs': "),
        (b"cat", b"c\x00t", "metadata 'inputs': "),
        (b'{"axes', b'{"axis', "metadata 'inputs': "),
    ):
        with pytest.raises(ModelError, match=refused) as caught:
            contents_of_program(stated.replace(text, text.replace(before, after)))
        assert str(caught.value).isprintable()
    other = stated.replace(text, text.replace(b"cat", b"dog"))
    assert contents_of_program(other).inputs != contract  # a program of its own, which computes the same


def test_a_description_of_enormous_samples_costs_nothing() -> None:
    """No activation is computed before it is known that the file asks for few enough."""
    model, inputs = made("resnet20", "W8A8")
    enormous = replace(graph_of(model, inputs.shape[1:]), input_shape=(3, 4000, 4000))
    started = time.process_time()
    with pytest.raises(ModelError, match="codes for one sample; expected at most"):
        to_executorch(enormous)
    assert time.process_time() - started < 10  # 17 GB and minutes if anything were computed


def test_what_torch_refuses_is_a_typed_error() -> None:
    written = graph("convnet", "W4A4")
    wrong = tuple(
        replace(step, padding=((2, 2), (2, 2)), kernel=(3, 3), stride=(3, 3))
        if isinstance(step, MaxPool)
        else step
        for step in written.steps
    )
    with pytest.raises(ModelError, match=r"ExecuTorch does not take the network: .*pad"):
        to_executorch(replace(written, steps=wrong))


def test_a_patch_leads_to_no_program_of_other_numbers_than_a_network_has() -> None:
    good = program("convnet", "W4A4")
    content = parse_exported(good).content
    at = next(place for place, record in enumerate(content) if b'"scales"' in record.label)
    for harmful in (np.nan, -1.0, 0.0, np.inf):
        values = np.full(len(content[at].values), harmful, np.float32).view(np.uint32)
        wrong = (*content[:at], TensorRecord(content[at].label, None, values), *content[at + 1 :])
        with pytest.raises(PatchError, match="it leads to a file that would be refused"):
            patch_file(parse_exported(good), wrong)
    for label, bad in ((b'"refinements"', 0), (b'"refinements"', 3), (b'"activation ranges"', 255)):
        at = next(place for place, record in enumerate(content) if label in record.label)
        values = np.full(len(content[at].values), bad, np.uint8)
        values[-1] = 1
        wrong = (*content[:at], TensorRecord(content[at].label, None, values), *content[at + 1 :])
        with pytest.raises(PatchError):
            patch_file(parse_exported(good), wrong)
