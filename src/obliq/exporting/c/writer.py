"""A graph of integer steps as one C99 file: the network as an image, kernels, and the calls in their order.

Whatever a patch may change lies in the image, and the kernels read it there: codes, scales, biases, tables and the
ranges of activations. So the same code computes with any image of the same form, wherever a device keeps it.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from obliq.data.input_contract import InputContract
from obliq.exporting import interpreter
from obliq.exporting.content import content_of_graph
from obliq.exporting.graph import Graph
from obliq.exporting.operations import Layer, Step
from obliq.exporting.operations.c_call import CCall, Shape
from obliq.patch import content_digest, to_device_image
from obliq.patch.decoder import IMAGE_HEAD, RECORD_HEAD

MARK = "/* A quantized neural network in C99, written by `obliq export --to c`.\n"
"""The first line of each file."""

_HEAD = """ *
 * content  SHA-256 {digest}
 * weights  {bits} bits, stored as bytes; the image has {image:,} bytes
 * scratch  {scratch:,} bytes of working memory, which the caller gives; nothing is allocated
 *
 * int network_run(const uint8_t *image, const float *input, float *logits, uint8_t *scratch)
 *
 *     image    network_image, or a copy that was patched: the form that docs/patch-format.md of Obliq describes, and
 *              that c/obliq_patch.c of Obliq writes to flash memory. It needs no alignment. It is not checked here:
 *              other bytes give other logits. They cause no access outside of these four arrays.
 *     input    NETWORK_INPUTS floats, {shape}, as described below
 *     logits   receives NETWORK_CLASSES floats
 *     scratch  NETWORK_SCRATCH bytes
 *     result   0, or 1 where an input is not a number; logits then stay as they were
 *
 * Another file gets the declarations alone by
 *
 *     #define NETWORK_DECLARATIONS
 *     #include "network.c"
 *
 * Two networks in one program: rename the functions of one, with -Dnetwork_run=... -Dnetwork_image=...
 *
 * Sums are int32. Each result is rounded by one multiplication in float, halves to the even number. Every
 * code equals that of Obliq's integer interpreter if float arithmetic is IEEE 754 in round-to-nearest, as it is
 * with -std=c99. Do not compile with -ffast-math or -funsafe-math-optimizations.
 *
{inputs} */
"""

_DECLARATIONS = """#include <stddef.h>
#include <stdint.h>

#define NETWORK_INPUTS {inputs}
#define NETWORK_CLASSES {classes}
#define NETWORK_SCRATCH {scratch}
#define NETWORK_IMAGE {image}

extern const uint8_t network_image[NETWORK_IMAGE];
int network_run(const uint8_t *image, const float *input, float *logits, uint8_t *scratch);

#ifndef NETWORK_DECLARATIONS

#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__FAST_MATH__) || FLT_EVAL_METHOD == 1 || FLT_EVAL_METHOD == 2
#error "float must be computed as float, without -ffast-math"
#endif

#define IMAGE_SCALES {scales}
#define IMAGE_RANGES {ranges}
"""


def to_c(graph: Graph, inputs: InputContract | None = None) -> bytes:
    """The bytes of one C99 file; equal graphs give equal bytes.

    Args:
        graph: as `graph_of` makes it.
        inputs: how stored values become inputs; it stands in a comment.

    Raises:
        ModelError: naming a layer that has no C form.
    """
    return _Writer(graph).written(inputs).encode("ascii", "backslashreplace")


@dataclass(frozen=True)
class _Place:
    """Bytes of the scratch memory that an activation has while it is needed."""

    start: int
    end: int
    until: int


class _Writer:
    """Places activations in scratch memory, and numbers in the image."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        codes = interpreter.run(graph, np.zeros((1, *graph.input_shape), np.float32))
        self.shapes: dict[str, Shape] = {name: one.shape[1:] for name, one in codes.items()}
        self.calls = {
            step.name: step.in_c([self.shapes[name] for name in step.sources], self.shapes[step.name])
            for step in graph.steps
        }
        self.content = content_of_graph(graph)
        self.image = to_device_image(self.content)
        self.places = self._places_in_image()
        rounding = [step.name for step in graph.steps if not step.moves]
        self.numbers = {name: number for number, name in enumerate(rounding)}
        self.holder = self._holders()
        self.starts, self.scratch = self._starts()

    def written(self, inputs: InputContract | None) -> str:
        """The whole file."""
        graph, image = self.graph, len(self.image)
        elements = {
            "inputs": math.prod(graph.input_shape),
            "classes": math.prod(self.shapes[graph.result.name]),
        }
        head = _HEAD.format(
            digest=content_digest(self.content),
            bits=" and ".join(map(str, sorted({layer.weights.bits for layer in graph.layers}))),
            image=image,
            scratch=self.scratch,
            shape=_by(graph.input_shape),
            inputs=_described(inputs),
        )
        declarations = _DECLARATIONS.format(
            **elements,
            scratch=self.scratch,
            image=image,
            scales=self.places["activation scales", ""],
            ranges=self.places["activation ranges", ""],
        )
        body = self._sizes() + self._run()
        blob = f"const uint8_t network_image[NETWORK_IMAGE] = {{\n{_rows(self.image)}\n}};\n"
        parts = [MARK + head, declarations, _kernels(body), blob, body, "#endif"]
        return "\n".join(parts) + "\n"

    def _sizes(self) -> str:
        """The constant sizes of each call."""
        rows = []
        for number, (step, call) in enumerate(self._every_call()):
            record = step.path if isinstance(step, Layer) else step.name
            stored = {name: self.places[name, record] for name in call.stored}
            value = _initialiser({**call.sizes, **stored})
            rows.append(f"static const struct {call.struct} sizes_{number} = {value};\n")
        return "".join(rows) + "\n"

    def _run(self) -> str:
        """The function that computes the network."""
        first, last = self.graph.steps[0], self.graph.result
        holders = [step for step in self.graph.steps if self.holder[step.name] == step.name]
        numbers = {step.name: number for number, step in enumerate(holders)}
        named = {name: f"v{numbers[holder]}" for name, holder in self.holder.items()}
        lines = [
            "int network_run(const uint8_t *image, const float *input, float *logits, uint8_t *scratch)",
            "{",
            *(f"    const struct values {named[step.name]} = {self._values(step)};" for step in holders),
            "    uint32_t i;",
            f"    if (quantize(input, NETWORK_INPUTS, &{named[first.name]}))",
            "        return 1;",
        ]
        for number, (step, call) in enumerate(self._every_call()):
            read = [f"&{named[step.sources[source]]}" for source in call.reads]
            image = ["image"] if call.stored else []
            arguments = ", ".join([*image, f"&sizes_{number}", *read, f"&{named[step.name]}"])
            lines.append(
                f"    {call.kernel}({arguments}); /* {_named(step.path)}: {_by(self.shapes[step.name])} */"
            )
        result = named[last.name]
        lines += [
            "    for (i = 0; i < NETWORK_CLASSES; i++)",
            f"        logits[i] = (float)((int32_t){result}.bytes[i] - {result}.zero) * {result}.scale;",
            *("    return 0;", "}", ""),
        ]
        return "\n".join(lines)

    def _values(self, step: Step) -> str:
        number, start = self.numbers[self.graph.owner(step.name).name], self.starts[step.name]
        return f"values_of(image, scratch + {start}, {number}, {step.grid.zero_point})"

    def _every_call(self) -> list[tuple[Step, CCall]]:
        return [(step, call) for step in self.graph.steps for call in self.calls[step.name]]

    def _places_in_image(self) -> dict[tuple[str, str], int]:
        """Where the values of each record begin, by its kind and the name of its layer or step."""
        at, places = IMAGE_HEAD.size, {}
        for record in self.content:
            kind, name, *_ = json.loads(record.label)
            at += RECORD_HEAD.size + len(record.label)
            places[kind, name if isinstance(name, str) else ""] = at
            at += len(record.stored())
        first = places["refinements", ""]
        return places | {
            ("refinement", layer.path): first + number for number, layer in enumerate(self.graph.layers)
        }

    def _holders(self) -> dict[str, str]:
        """By the name of each step, the one whose bytes its result has: itself, unless the bytes stay as they are."""
        holder: dict[str, str] = {}
        for step in self.graph.steps:
            keeps = step.sources and not self.calls[step.name]
            holder[step.name] = holder[step.sources[0]] if keeps else step.name
        return holder

    def _starts(self) -> tuple[dict[str, int], int]:
        """Where each activation lies in scratch memory, and how much there must be.

        Each gets the first room that none has which is still needed.
        """
        last: dict[str, int] = {}
        for number, step in enumerate(self.graph.steps):
            for name in (step.name, *step.sources):
                last[self.holder[name]] = number
        last[self.holder[self.graph.result.name]] = len(self.graph.steps)
        taken: list[_Place] = []
        starts: dict[str, int] = {}
        largest = 0
        for number, step in enumerate(self.graph.steps):
            if self.holder[step.name] != step.name:
                continue
            taken = sorted((one for one in taken if one.until >= number), key=lambda one: one.start)
            start, size = 0, math.prod(self.shapes[step.name])
            for one in taken:
                if start + size <= one.start:
                    break
                start = max(start, one.end)
            taken.append(_Place(start, start + size, last[step.name]))
            starts[step.name], largest = start, max(largest, start + size)
        return starts, largest


_KERNELS = ("kernels.c", "windows.c")
"""Functions of values one by one, and functions of windows that slide; a later file uses what is in an earlier one."""


def _kernels(body: str) -> str:
    """The structures, and the functions that a text calls, in their order; compilers warn of others."""
    folder = files("obliq.exporting.c")
    texts = [folder.joinpath(name).read_text(encoding="utf-8").strip() for name in _KERNELS]
    blocks = "\n\n".join(texts).split("\n\n")
    kept: list[str] = []
    for block in reversed(blocks):
        function = re.search(r"^static [^;{]*?(\w+)\(", block, flags=re.MULTILINE)
        if function is None or re.search(rf"\b{function.group(1)}\(", "\n".join([body, *kept])):
            kept.append(block.strip("\n"))
    return "\n\n".join(reversed(kept)) + "\n"


def _initialiser(value: Any) -> str:
    """Whole numbers as C writes them: by name, in a row, or alone."""
    if isinstance(value, Mapping):
        kinds = {"places": "(const uint32_t[])"}  # of any length, so that the structure holds its address
        fields = (f".{name} = {kinds.get(name, '')}{_initialiser(one)}" for name, one in value.items())
        return "{" + ", ".join(fields) + "}"
    if isinstance(value, tuple | list):
        return "{" + ", ".join(map(str, value)) + "}"
    return str(value)


def _described(inputs: InputContract | None) -> str:
    """The input contract as lines of a comment; JSON without slashes can end no comment and begin none."""
    if inputs is None:
        return " * How stored values become inputs was not known when the file was written.\n"
    text = inputs.to_text().replace("/", "\\u002f")
    return f" * inputs   {inputs.values}, scaled by {inputs.scaling}; as JSON:\n * {text}\n"


def _named(path: str) -> str:
    """Where a step stands, for a comment: names in a network or a file may hold anything, as the end of a comment."""
    return re.sub(r"[^\w.]", "_", path, flags=re.ASCII)[:_LONGEST_NAME]


_LONGEST_NAME = 200


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _rows(data: bytes) -> str:
    return "\n".join(",".join(map(str, data[at : at + 32])) + "," for at in range(0, len(data), 32))
