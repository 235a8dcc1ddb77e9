"""What is read of a file of answers, and what is refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from obliq.data.answers_file import LARGEST_ANSWERS, read_answers
from obliq.errors import DataError

LOGITS = np.array([[2.0, -1.5, 0.25], [0.0, 3.0, -4.0]])
PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])


def npz(folder: Path, **arrays: Any) -> Path:
    file = folder / "answers.npz"
    np.savez(file, **arrays)
    return file


def text(folder: Path, content: str) -> Path:
    file = folder / "answers.csv"
    file.write_bytes(content.encode())
    return file


def test_both_forms_of_each_recording_hold_the_same_answers(tmp_path: Path) -> None:
    head, rows = "id,{0}_0,{0}_1,{0}_2\n", "{}\n7,{},{},{}\n40,{},{},{}\n"
    for recorded, column, values in (
        ("logits", "logit", LOGITS),
        ("probabilities", "probability", PROBABILITIES),
    ):
        lines = head.format(column) + rows.format("", *values.flatten())
        for file in (npz(tmp_path, id=[7, 40], **{recorded: values}), text(tmp_path, lines)):
            found = read_answers(file, 3)
            assert (found.ids, found.recorded) == (("7", "40"), recorded)
            assert np.array_equal(found.values, values)
    one_hot = np.eye(3)[[2, 0]]
    for file in (
        npz(tmp_path, id=["a", "b"], classes=[2, 0]),
        npz(tmp_path, id=["a", "b"], classes=["dog", "ant"]),
        text(tmp_path, "\ufeffid, class\r\na, 2\r\nb, ant\r\n"),  # as a spreadsheet writes it
    ):
        found = read_answers(file, 3, ("ant", "cat", "dog"))
        assert (found.ids, found.recorded) == (("a", "b"), "classes")
        assert np.array_equal(found.values, one_hot)


BAD_ARRAYS: list[tuple[dict[str, Any], str]] = [
    ({"id": [7, 40]}, "holds id; expected the array id and one of logits, probabilities, classes"),
    ({"logits": LOGITS}, "holds logits; expected the array id"),
    ({"id": [7, 40], "logits": LOGITS, "classes": [0, 1]}, "one of logits, probabilities, classes"),
    ({"id": [7, 40, 41], "logits": LOGITS}, "logits of shape (2, 3); expected one for each of 3 ids"),
    ({"id": [7.0, 40.0], "logits": LOGITS}, "expected integers or names in one row"),
    ({"id": [[7], [40]], "logits": LOGITS}, "expected integers or names in one row"),
    (
        {"id": [7, 40], "logits": LOGITS[:, :2]},
        "logits of 2 classes; expected 3, as the network distinguishes",
    ),
    ({"id": [7, 40], "logits": LOGITS[:, 0]}, "expected a row of numbers for each sample"),
    (
        {"id": [7, 40], "logits": LOGITS * np.nan},
        "2 of 2 answers hold NaN or infinity, the first that of id 7",
    ),
    ({"id": [7, 40], "logits": LOGITS * 1e300}, "hold NaN or infinity, the first that of id 7"),
    ({"id": [7, 40], "probabilities": LOGITS}, "are no probabilities, the first that of id 7"),
    ({"id": [7, 40], "probabilities": PROBABILITIES / 2}, "add up to 0.5; expected numbers from 0 to 1"),
    ({"id": [7, 40], "classes": [0, 3]}, "class '3'; expected one of 3 classes"),
    ({"id": [7, 40], "classes": [0.0, 1.0]}, "expected one number or name a sample"),
    ({"id": np.zeros(0, int), "logits": np.zeros((0, 3))}, "no answers in it"),
    ({"id": np.array([7, None], dtype=object), "logits": LOGITS}, "array of Python objects"),
]
BAD_LINES = [
    ("", "the first line is ''; expected id,logit_0,logit_1,..."),
    ("7,1,2,3\n", "the first line is '7,1,2,3'"),
    ("id,logit_1,logit_2,logit_3\n", "expected id,logit_0"),
    ("id,logit_0,logit_1,logit_2\n7,1,2\n", "line 2: 3 columns; expected 4"),
    ("id,logit_0,logit_1,logit_2\n,1,2,3\n", "line 2: 4 columns without an id"),
    ("id,logit_0,logit_1,logit_2\n7,1,2,nan\n", "line 2: 'nan'; expected a finite number"),
    ("id,logit_0,logit_1,logit_2\n7,1,2,1e999\n", "NaN or infinity, the first that of id 7"),
    ("id,logit_0,logit_1,logit_2\n", "no answers in it"),
    ("id,logit_0,logit_1\n7,1,2\n", "logits of 2 classes; expected 3"),
    ("id,class\n7,cow\n", "class 'cow'"),
    ('id,class\n7,"1\n', "cannot be read as .csv"),
]


def test_what_is_no_recording_is_refused_in_one_line(tmp_path: Path) -> None:
    files: list[tuple[Path, str]] = []
    for place, (arrays, message) in enumerate(BAD_ARRAYS):
        (folder := tmp_path / f"npz-{place}").mkdir()
        files.append((npz(folder, **arrays), message))
    for place, (content, message) in enumerate(BAD_LINES):
        (folder := tmp_path / f"csv-{place}").mkdir()
        files.append((text(folder, content), message))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(npz(tmp_path, id=[7, 40], logits=LOGITS).read_bytes()[:-40])
    huge = tmp_path / "huge.npz"
    np.savez_compressed(huge, id=np.arange(2), logits=np.zeros(LARGEST_ANSWERS // 8 + 1))
    link = tmp_path / "link.csv"
    link.symlink_to(files[-1][0])
    (other := tmp_path / "answers.pkl").write_bytes(b"cos\nsystem\n")
    (binary := tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    files += [
        (cut, "cannot be read as .npz"),
        (huge, "expected at most"),
        (link, "links are not followed"),
        (other, "expected a .npz or a .csv file"),
        (binary, "cannot be read as .csv"),
        (tmp_path / "none.csv", "cannot be read"),
    ]
    for file, message in files:
        with pytest.raises(DataError) as refused:
            read_answers(file, 3)
        assert message in str(refused.value), file
        assert str(refused.value).startswith(str(file))
        assert "\n" not in str(refused.value)
