"""C99 files of our exporter, for microcontrollers; they are written and not read."""

import re
from typing import ClassVar

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError, ObliqError
from obliq.exporting.c.writer import MARK, to_c
from obliq.exporting.content import content_of_graph
from obliq.exporting.exported_file import OwnFile
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.contents import Contents
from obliq.patch import content_digest, from_device_image

LONGEST_COMMENT = 2**16
"""Bytes at the start of a file in which its comment is looked for."""


class CFile(OwnFile):
    """What compiles to the arithmetic of the interpreter. Audits and patches take the `integer` ONNX file instead.

    Since reading refuses every file, there are no objects of this class, and nothing that they would answer.
    """

    format: ClassVar[str] = "c"
    title: ClassVar[str] = "C"
    suffix: ClassVar[str] = ".c"
    own_runtime: ClassVar[str] = "a C compiler"
    is_read: ClassVar[bool] = False

    @staticmethod
    def recognises(data: bytes) -> bool:
        return data.startswith(MARK.encode())

    @staticmethod
    def stated_digest(data: bytes) -> str | None:
        stated = re.search(rb"content  SHA-256 ([0-9a-f]{64})", data[:LONGEST_COMMENT])
        return None if stated is None else stated[1].decode()

    @staticmethod
    def read(data: bytes) -> Contents:
        raise ModelError(
            "C files are written and not read; expected the folder that it was exported from, or the file of "
            "`obliq export --to onnx`, which has the same integers and content digest"
        )

    @staticmethod
    def write(graph: Graph, form: str = "integer", inputs: InputContract | None = None) -> bytes:
        return to_c(graph, inputs)

    @classmethod
    def verify(cls, data: bytes, graph: Graph) -> None:
        text = re.search(
            rb"^const uint8_t network_image\[NETWORK_IMAGE\] = \{([\d,\s]*)\}", data, re.MULTILINE
        )
        try:
            image = bytes(map(int, text.group(1).split(b",")[:-1])) if text else b""
            found = content_digest(from_device_image(image))
        except (ValueError, ObliqError) as error:
            raise ModelError(f"its image cannot be read ({error}); expected that of the network") from error
        if found != content_digest(content_of_graph(graph)):
            raise ModelError("its image holds other integers; expected those of the network")
