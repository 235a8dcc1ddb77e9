"""Which network a file holds, told by what it computes with and not by what it claims.

Exporting is deterministic, so a file belongs to a network exactly when exporting that network gives the
same content. A name or a digest in the file would be a claim that anyone could write, and that a patch of
the integers would leave behind unchanged.
"""

from collections.abc import Sequence

from torch import nn

from obliq.export.accepting import contents_of
from obliq.export.contents import Contents
from obliq.export.executorch_program import held
from obliq.export.onnx_content import content_in
from obliq.export.onnx_model import FORMS, to_onnx
from obliq.export.stored import form_of
from obliq.export.walk import graph_of
from obliq.patch import digest_of


def content_digest(contents: Contents) -> str:
    """SHA-256 of everything that a file computes with, whoever wrote it and in whatever order.

    That is: operators, names, settings, types, shapes, codes, scales and biases, not the producer, the order of
    constants, or the bytes that codes are packed in. Since types count, the `integer` and the `compact` file of a
    network whose weights have 4 bits or fewer have two digests, and its folder has a third. It is the digest that
    a patch to the file promises (`obliq.patch.digest_of`), so that an audit of a file, a patch to it and the device
    that holds it speak of one network by one number.
    """
    return digest_of(content_in(contents))


def form_exported_from(contents: Contents, model: nn.Module, input_shape: Sequence[int]) -> str | None:
    """The form in which a network was exported to this file; None when it was not.

    Raises:
        ModelError: when the network cannot be exported, or the extra `onnx` is missing.
    """
    form = form_of(contents)
    exported = contents_of(to_onnx(graph_of(model, input_shape), form))
    return form if content_digest(exported) == content_digest(contents) else None


def held_by_program(contents: Contents, model: nn.Module, input_shape: Sequence[int]) -> str | None:
    """The form in which a network was exported to a program with these contents; None when it was not.

    Raises:
        ModelError: when the network cannot be exported, or an extra is missing.
    """
    in_program = contents_of(to_onnx(held(graph_of(model, input_shape))))
    return FORMS[0] if content_digest(in_program) == content_digest(contents) else None
