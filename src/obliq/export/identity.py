"""Which network a file holds, told by what it computes with and not by what it claims.

Exporting is deterministic, so a file belongs to a network exactly when exporting that network gives the
same content. A name or a digest in the file would be a claim that anyone could write, and that a patch of
the integers would leave behind unchanged.
"""

from collections.abc import Sequence

from torch import nn

from obliq.export.artifact import export
from obliq.export.contents import Contents
from obliq.export.onnx_content import content_in
from obliq.export.onnx_model import FORMS
from obliq.export.rules import contents_of
from obliq.patch import digest_of


def content_digest(contents: Contents) -> str:
    """SHA-256 of everything that a file computes with, in no container's form.

    That is: operators, names, settings, types, shapes, codes, scales and biases. It is the digest that a
    patch to the file promises (`obliq.patch.digest_of`), so that an audit, a patch and a device speak of a
    network by one number.
    """
    return digest_of(content_in(contents))


def form_exported_from(contents: Contents, model: nn.Module, input_shape: Sequence[int]) -> str | None:
    """The form in which a network was exported to this file; None when it was not.

    Raises:
        ModelError: when the network cannot be exported, or the extra `onnx` is missing.
    """
    wanted = content_digest(contents)
    for form in FORMS:
        if content_digest(contents_of(export(model, input_shape, form))) == wanted:
            return form
    return None
