"""The C decoder gives the reference decoder's answer to every question, under sanitizers."""

import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.patch import plain
from tests.patch.plain import decoder
from tests.patch.samples import certified, damaged, forged, sample_patch

SOURCES = Path(__file__).parents[2] / "c"
FLAGS = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-Wconversion",
    "-O1",
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)

Question = tuple[bytes, bytes, int] | tuple[bytes, bytes, int, int]
"""A patch, an image, a floor, and what the clock shows, if there is one."""

Answer = tuple[int, bytes]
Decoder = Callable[..., list[Answer]]


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    """Ask the C decoder many questions in one process; with a page size, it writes its answers page by page."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (gcc or cc) is installed")
    folder = tmp_path_factory.mktemp("c")
    program, asked, answered = (folder / name for name in ("apply_batch", "questions", "answers"))
    sources = sorted(map(str, SOURCES.glob("*.c")))
    subprocess.run([compiler, *FLAGS, "-o", str(program), *sources], check=True, timeout=120)

    def ask(questions: Sequence[Question], *paging: int) -> list[Answer]:
        with asked.open("wb") as file:
            for patch, base, floor, *clock in questions:
                head = struct.pack("<IIQQQ", len(patch), len(base), floor, len(clock), *(clock or [0]))
                file.write(head + patch + base)
        done = subprocess.run(
            [program, asked, answered, *map(str, paging)], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        data, at, answers = answered.read_bytes(), 0, []
        for _, base, *_ in questions:
            answer = int.from_bytes(data[at : at + 4], "little")
            length = 0 if answer else len(base)
            answers.append((answer, data[at + 4 : at + 4 + length]))
            at += 4 + length
        assert at == len(data)
        return answers

    return ask


def in_python(question: Question) -> Answer:
    patch, base, floor, *clock = question
    try:
        return 0, decoder.apply_to_image(patch, base, floor, *(clock or [None]))
    except decoder.Refused as refused:
        return refused.args[0], b""


def test_agrees_on_ten_thousand_pairs(in_c: Decoder) -> None:
    draw = np.random.default_rng(0)
    questions, expected = [], []
    for number in range(10_000):
        old, new = plain.random_pair(draw, most=400 if number % 200 == 0 else 8)
        base, floor = plain.image(old), int(draw.integers(0, 2**63))
        questions.append((plain.patch(old, new, floor + 1), base, floor))
        expected.append((0, plain.image(new)))
    assert [in_python(question) for question in questions] == expected
    assert in_c(questions) == expected


def test_refuses_every_truncation_and_every_flipped_bit(in_c: Decoder) -> None:
    patch, base, result = sample_patch()
    questions = [(patch, base, 0), *((wrong, base, 0) for wrong in damaged(patch))]
    answers = in_c(questions)
    assert answers[0] == (0, result)
    assert set(answers[1:]) == {(decoder.DAMAGED, b"")}


@pytest.mark.parametrize("page", [1, 3, 8, 64, 4096])
def test_pages_are_the_same_bytes(page: int, in_c: Decoder) -> None:
    """Whole pages in order, however changes straddle them, and the same refusals."""
    draw = np.random.default_rng(page)
    patch, base, result = sample_patch()
    questions: list[Question] = [(patch, base, 0), (patch, base, 2**64 - 1), (patch, result, 0)]
    questions += [(forged(patch, draw), base, 0) for _ in range(300)]
    for number in range(300):
        old, new = plain.random_pair(draw, most=400 if number % 50 == 0 else 8)
        questions.append((plain.patch(old, new, 1), plain.image(old), 0))
    assert in_c(questions, page) == [in_python(question) for question in questions]


def test_a_page_that_cannot_be_written_is_an_answer(in_c: Decoder) -> None:
    patch, base, result = sample_patch()
    pages = -(-len(base) // 64)
    not_written = 10
    for failing in range(1, pages + 1):
        assert in_c([(patch, base, 0)], 64, failing) == [(not_written, b"")]
    assert in_c([(patch, base, 0)], 64, pages + 1) == [(0, result)]


def test_gives_the_same_reasons(in_c: Decoder) -> None:
    """Forged streams, images cut off or altered, floors: the answers are equal, and of every kind."""
    draw = np.random.default_rng(1)
    patch, base, result = sample_patch(sequence=7)
    questions: list[Question] = [(patch, base, floor) for floor in (0, 6, 7, 2**64 - 1)]
    questions += [(patch, result, 0), (patch, b"", 0), (patch, base + b"\0", 0), (b"", base, 0)]
    questions += [(forged(patch, draw), base, 0) for _ in range(2000)]
    for _ in range(2000):
        image = bytearray(base)
        for _ in range(draw.integers(1, 4)):
            image[draw.integers(len(image) if draw.random() < 0.5 else 60)] = draw.integers(256)
        questions.append(
            (patch, bytes(image[: draw.integers(len(image))] if draw.random() < 0.3 else image), 0)
        )
    expected = [in_python(question) for question in questions]
    assert in_c(questions) == expected
    assert {answer for answer, _ in expected} >= {0, 1, 3, 4, 5, 6, 7, 8}


def test_patches_expire_in_the_same_second(in_c: Decoder) -> None:
    """With and without a clock, at the ends of its range, and for damaged and forged patches that expire."""
    draw = np.random.default_rng(2)
    old, new = plain.random_pair(draw, most=8)
    base, times = plain.image(old), (0, 1, 10**9, 2**63, 2**64 - 1)
    clocks = sorted({max(0, min(2**64 - 1, time + step)) for time in times for step in (-1, 0, 1)})
    files = [plain.patch(old, new, 1), *(plain.patch(old, new, 1, time) for time in times)]
    questions: list[Question] = [(file, base, 0) for file in files]
    questions += [(file, base, 0, clock) for file in files for clock in clocks]
    answers = in_c(questions)
    assert answers == [in_python(question) for question in questions]
    assert answers[: len(files)] == [(0, plain.image(new))] * len(files)
    for question, (answer, _) in zip(questions, answers, strict=True):
        expires = int.from_bytes(question[0][120:128], "little") if question[0][4] == 2 else 2**64
        assert answer == (decoder.EXPIRED if question[3:] and question[-1] >= expires else 0)
    patch, base, _ = sample_patch(expires=datetime(2030, 1, 31, tzinfo=UTC))
    questions = [(wrong, base, 0) for wrong in damaged(patch)]
    assert set(in_c(questions)) == {(decoder.DAMAGED, b"")}
    questions = [(forged(patch, draw), base, 0, int(draw.integers(2**32))) for _ in range(500)]
    questions += [(certified(patch, bytes(length)), base, 0, 0) for length in range(12)]
    assert in_c(questions) == [in_python(question) for question in questions]


SIGNED = r"""
#include <stdio.h>
#include <string.h>
#include "obliq_patch.h"

static int calls;

/* Stands for Ed25519: the signature is the digest of the message. */
static int verify(void *context, const uint8_t *message, size_t length, const uint8_t *signature, size_t size)
{
    uint8_t digest[OBLIQ_DIGEST];
    calls++;
    obliq_sha256(message, length, digest);
    return context != &calls || size != OBLIQ_DIGEST || memcmp(digest, signature, OBLIQ_DIGEST) != 0;
}

static uint8_t patch[65536], base[65536], result[65536];

int main(int count, char **files)
{
    uint8_t right[OBLIQ_DIGEST], wrong[OBLIQ_DIGEST] = {0};
    FILE *one = fopen(files[1], "rb"), *other = fopen(files[2], "rb");
    size_t length = fread(patch, 1, sizeof patch, one), size = fread(base, 1, sizeof base, other);
    struct obliq_signature given[5] = {{right, OBLIQ_DIGEST, verify, &calls}, {wrong, OBLIQ_DIGEST, verify, &calls},
                                       {right, OBLIQ_DIGEST - 1, verify, &calls}, {right, OBLIQ_DIGEST, NULL, &calls},
                                       {NULL, OBLIQ_DIGEST, verify, &calls}};
    obliq_sha256(patch, length, right);
    for (int i = 4; i >= -1; i--)
        printf("%d ", obliq_patch_apply_signed(i < 0 ? NULL : &given[i], patch, length, base, size, 0, OBLIQ_NO_CLOCK,
                                             result, size));
    printf("%d ", calls);
    printf("%d", obliq_patch_write_signed(&given[1], patch, length, base, size, 0, OBLIQ_NO_CLOCK, NULL));
    return fclose(one) || fclose(other) || count != 3;
}
"""


EXAMPLE_USED = r"""
#include <stdio.h>

static uint8_t patch[65536], base[65536], result[65536];

int main(int count, char **files)
{
    FILE *one = fopen(files[1], "rb"), *other = fopen(files[2], "rb");
    size_t length = fread(patch, 1, sizeof patch, one), size = fread(base, 1, sizeof base, other);
    const uint64_t now = 0;
    printf("%d ", install(patch, length, base, size, 0, &now));
    printf("%d ", install_in_memory(patch, length, base, size, 0, OBLIQ_NO_CLOCK, result, sizeof result));
    printf("%d %d", memcmp(slot_b, result, size), memcmp(base, result, size) != 0);
    return fclose(one) || fclose(other) || count != 3;
}
"""


def test_the_page_s_example_compiles_and_applies_a_patch(in_c: Decoder, tmp_path: Path) -> None:
    page = (SOURCES.parent / "docs" / "patch-format.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```c\n(.*?)```", page, flags=re.DOTALL)
    patch, base, _ = sample_patch()
    assert compiled_and_run(example + EXAMPLE_USED, patch, base, tmp_path) == "0 0 0 1"


def test_a_signature_is_checked_before_anything_else(in_c: Decoder, tmp_path: Path) -> None:
    patch, base, _ = sample_patch()
    assert compiled_and_run(SIGNED, patch, base, tmp_path) == "11 11 11 11 0 11 3 11"


def compiled_and_run(program: str, patch: bytes, base: bytes, folder: Path) -> str:
    """What a program prints that is given the files of a patch and of an image."""
    files = [folder / name for name in ("patch", "base", "program.c", "program")]
    for file, content in zip(files, (patch, base, program.encode()), strict=False):
        file.write_bytes(content)
    sources = [str(SOURCES / name) for name in ("obliq_patch.c", "obliq_sha256.c")]
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler is not None  # otherwise `in_c` has skipped
    words = [compiler, *FLAGS, "-I", str(SOURCES), "-o", str(files[3]), str(files[2]), *sources]
    subprocess.run(words, check=True, timeout=120)
    return subprocess.run([files[3], files[0], files[1]], capture_output=True, text=True, check=True).stdout
