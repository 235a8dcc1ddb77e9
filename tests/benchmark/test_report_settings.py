"""The settings in a report: what was chosen, of which range, and what lies at an edge."""

import dataclasses
import html
import json
from pathlib import Path

import pytest

from obliq.benchmark.report.background import Background
from obliq.benchmark.report.render import MARKDOWN, PAGE, render_benchmark_report, write_benchmark_report
from obliq.benchmark.report.settings import edge_of, edges_in_words, settings_table
from obliq.benchmark.report.tables import DASH
from obliq.benchmark.tuning import (
    TUNED,
    TUNING_DOCUMENT,
    TuningChoice,
    TuningDocument,
    position_of_smallest,
)
from tests.benchmark.synthetic_rows import CELLS, METHODS, synthetic_rows

NASTY = '<script>alert("|")</script>'


def choice(gaps: tuple[float | None, ...], *, method: str = METHODS[0], word: str = "mixed") -> TuningChoice:
    rates = (0.1, 0.3, 0.03, 0.01)[: len(gaps)]
    return TuningChoice(
        data="digits",
        architecture="convnet",
        bits="W4A4",
        scenario="class=0",
        contender=method,
        seed=101,
        trials=tuple(
            json.dumps({"learning_rate": rate, "order": word, "fast": rate > 0.1}) for rate in rates
        ),
        gaps=gaps,
        chosen=position_of_smallest(gaps),
        beyond=1 if len(gaps) > 3 else 0,
        error="the loss became nan" if set(gaps) == {None} else "",
    )


@pytest.mark.parametrize(
    ("value", "tried", "edge"),
    [
        (0.1, (0.1, 0.2, 0.4), "lowest"),
        (0.2, (0.1, 0.2, 0.4), ""),
        (0.4, (0.4, 0.1, 0.2), "highest"),
        (0.1, (0.1, 0.2), ""),
        (True, (True, False, True), ""),
        ("mixed", ("mixed", "other", "third"), ""),
    ],
)
def test_an_edge_is_the_end_of_three_or_more_numbers(
    value: object, tried: tuple[object, ...], edge: str
) -> None:
    assert edge_of(value, tried) == edge


@pytest.mark.parametrize(
    ("gaps", "texts"),
    [
        (
            (2.0, 3.0, 4.0),
            ("learning rate 0.1 (0.03 to 0.3); order mixed; fast False (or True)", DASH, "2.00", "3"),
        ),
        (
            (2.0, 1.0, 4.0, 3.0),
            (
                "learning rate 0.3 (0.01 to 0.3); order mixed; fast True (or False)",
                "learning rate: highest",
                "1.00",
                "4 (1 beyond)",
            ),
        ),
        ((None, None, None), ("every trial failed", DASH, DASH, "3")),
    ],
)
def test_a_row_has_the_chosen_values_their_range_and_its_edge(
    gaps: tuple[float | None, ...], texts: tuple[str, ...]
) -> None:
    table = settings_table([choice(gaps)])
    assert table is not None
    ((name, cells),) = [(row.name, [cell.value for cell in row.cells]) for row in table.rows]
    assert (name, *cells) == (METHODS[0], "class=0", *texts)
    assert table.caption == "Settings that tuning chose on digits, convnet at W4A4"
    elsewhere = dataclasses.replace(choice(gaps), data="watch")
    table = settings_table([choice(gaps), elsewhere])
    assert table is not None
    assert [row.cells[0].value for row in table.rows] == [
        "class=0, digits, convnet at W4A4",
        "class=0, watch, convnet at W4A4",
    ]


def test_edges_are_counted_over_ranges_alone() -> None:
    choices = [choice((2.0, 1.0, 4.0)), choice((2.0, 3.0, 4.0)), choice((None, None, None)), choice((1.0,))]
    assert edges_in_words(choices).startswith("Of 2 values chosen from 3 or more numbers, 1 lies at an edge")


def test_both_documents_have_what_the_folder_states_and_nothing_of_other_methods(tmp_path: Path) -> None:
    rows = synthetic_rows(METHODS[:2], CELLS[:1])
    for known in ((), (choice((2.0, 1.0, 4.0), word=NASTY), choice((2.0, 1.0, 4.0), method="absent"))):
        if known:
            TUNING_DOCUMENT.write(tmp_path / TUNED, TuningDocument(choices=known))
        write_benchmark_report(tmp_path, rows, Background())
        text, page = ((tmp_path / name).read_text() for name in (MARKDOWN, PAGE))
        assert (text, page) == render_benchmark_report(rows, tmp_path.name, Background(), known)
        for document in (text, html.unescape(page)):
            assert ("Tuned settings" in document) == bool(known)
            assert ("learning rate 0.3 (0.03 to 0.3)" in document.replace("\\", "")) == bool(known)
            assert "absent" not in document
        assert page.count("<script") == 1
        assert "<script" not in text
