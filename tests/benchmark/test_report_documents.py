import base64
import hashlib
import html
import re
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from obliq.benchmark.report.background import Background
from obliq.benchmark.report.render import render_benchmark_report as render
from obliq.benchmark.rows import ResultRow
from obliq.errors import ObliqError
from obliq.report.drawing import draw_svg
from tests.benchmark.synthetic_rows import CELLS, FOLLOWS, METHODS, change_row, result_row, synthetic_rows
from tests.report.test_page import Outline

NASTY = '<script>alert("$x$")</script>&\'|`*_[x](y) #010101 id="z'
FEW = (*METHODS[:3], "influence", METHODS[-1])
FEWER = CELLS[:3]
BACKGROUND = Background(
    follows={METHODS[-1]: FOLLOWS[METHODS[-1]]},
    trials=6,
    tuning_seed=101,
    tuning_bits="W4A4",
    facts={"cpu": "one"},
)


@pytest.fixture(scope="module")
def documents() -> tuple[str, str]:
    return render(synthetic_rows(FEW, FEWER), "small", BACKGROUND)


def test_page_is_balanced_and_fetches_nothing(documents: tuple[str, str]) -> None:
    page = documents[1]
    outline = Outline(page)
    assert not {"link", "img", "iframe"} & set(outline.seen)
    assert len(outline.ids) == len(set(outline.ids))
    assert all(address.startswith("#") for address in outline.addresses)
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "").replace("http-equiv", "")
    assert not re.search(r"@import|url\((?!#)", page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert not re.search(r"innerHTML|eval|fetch|import|src", script)


def test_cells_are_folded_and_a_matrix_has_them_side_by_side(documents: tuple[str, str]) -> None:
    text, page = documents
    assert page.count("<details>") == len(FEWER) + 1  # and the machine
    assert page.index("Avg. Gap in every cell") < page.index("<details>")
    row = next(
        line
        for line in text.split("Avg. Gap in every cell")[1].splitlines()
        if line.startswith(f"| {FEW[0]}")
    )
    assert row.count("|") == len(FEWER) + 2


def test_the_opening_states_where_the_noise_floor_is_missing(documents: tuple[str, str]) -> None:
    rows = synthetic_rows(FEW, FEWER)
    kept = [
        one
        for one in rows
        if one.method != "retrained again" or (one.data, one.bits, one.scenario) != FEWER[0]
    ]
    assert f"That row is missing in 1 of {len(FEWER)} cells." in render(kept, "small", BACKGROUND)[0]
    assert "That row is missing" not in documents[0]


def test_links_within_the_page_lead_somewhere(documents: tuple[str, str]) -> None:
    outline = Outline(documents[1])
    assert {address[1:] for address in outline.addresses} <= set(outline.ids)


def test_same_rows_same_bytes_wherever_the_reference_rows_stand(documents: tuple[str, str]) -> None:
    rows = synthetic_rows(FEW, FEWER)
    contenders = [one for one in rows if one.method in FEW]
    references = [one for one in rows if one.method not in FEW]
    assert render(contenders + references[::-1], "small", BACKGROUND) == documents


def test_both_documents_say_the_same_words(documents: tuple[str, str]) -> None:
    text, page = documents[0], " ".join(Outline(documents[1]).text.split())
    for words in (
        "none is quoted from a paper",
        "A smaller gap is nearer to retraining",
        "another seed (101) at W4A4",
        "noise floor",
        "target: like Retrain; 50 is chance",
        "target: 0",
        "the loss is not finite at step 12",
        "What failed",
    ):
        assert words in text
        assert words in page


def test_numbers_are_means_with_deviations() -> None:
    rows = [
        change_row(_row("a", seed), unlearning_accuracy=value)
        for seed, value in ((1, 10.0), (2, 12.0), (3, 14.0))
    ]
    text, page = render(rows, "s")
    assert "12.0 ± 2.0" in text
    assert "12.0 ± 2.0" in " ".join(Outline(page).text.split())


def test_one_seed_shows_no_deviation() -> None:
    text, page = render(synthetic_rows(FEW, CELLS[:1], seeds=(1,)), "s")
    assert "±" not in text + page
    assert "not apart" not in text + page
    assert "There is one seed" in text


def test_missing_numbers_are_dashes() -> None:
    text, _ = render([_row("a", 1)], "s")
    lines = [line for line in text.splitlines() if line.startswith("| a | \N{EN DASH}")]
    assert len(lines) == 4  # the leaderboard and the cell's three tables
    assert all(set(line.split("|")[2:-1]) == {" \N{EN DASH} "} for line in lines[1:])


def test_best_is_bold_in_both() -> None:
    rows = [change_row(_row(name, 1), average_gap=gap) for name, gap in (("a", 2.0), ("b", 1.0))]
    text, page = render(rows, "s")
    assert "| b | **1.00** |" in text
    assert "| a | 2.00 |" in text
    assert re.search(r'<td class="best">1\.00', page)
    assert not re.search(r'<td class="best">2\.00', page)


def test_methods_that_lack_a_seed_say_so(documents: tuple[str, str]) -> None:
    assert "influence (2 of 3 seeds)" in documents[0]


def test_words_from_outside_are_escaped_everywhere() -> None:
    rows = [
        change_row(one, method=NASTY if one.method == FEW[0] else one.method, data=NASTY, scenario=NASTY)
        for one in synthetic_rows(FEW[:2], CELLS[:1])
    ]
    failed = change_row(_row("broken", 1), kind="failed", error=NASTY, data=NASTY, scenario=NASTY)
    background = Background(follows={FEW[1]: NASTY}, facts={NASTY: NASTY})
    text, page = render([*rows, failed], NASTY, background)
    outline = Outline(page)
    assert outline.seen.count("script") == 1
    assert NASTY in outline.text
    drawn = html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", page)))
    assert NASTY[:33] in drawn
    assert "<script" not in text
    acting = "\x1b[2J\u202e\udcff"
    for document in render(
        [change_row(rows[0], method=acting), failed], acting, Background(facts={acting: acting})
    ):
        assert not set("\x1b\u202e\udcff") & set(document)
        assert r"\x1b[2J\u202e\udcff" in html.unescape(document).replace("\\[", "[").replace("\\\\", "\\")
    for line in text.splitlines():
        if line.startswith("| "):
            assert line.count("|") - line.count("\\|") in range(3, 13)


def test_pictures_are_named_and_follow_the_colours_of_the_page(documents: tuple[str, str]) -> None:
    page = documents[1]
    pictures = re.findall(r"<svg[^>]*>", page)
    assert len(pictures) == 2 + 1 + 1 + 2 * 3
    assert all('role="img"' in picture and 'aria-label="' in picture for picture in pictures)
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert not re.search(r"#0\d0\d0\d|>@\d+@<|DejaVu", drawings)
    for name in FEW[:3]:
        assert f">{name}</text>" in drawings


def test_drawings_are_compact_and_keep_the_numbers_at_their_axes() -> None:
    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.plot([0.02, 1.0], [0.0, 1.23456], alpha=0.45)
        axes.set_xticks([0.05, 0.25], ["0.05", "0.25"])

    drawing = draw_svg(draw, "1.2345 points")
    assert re.findall(r"<text[^>]*>([^<]*)</text>", drawing)[:2] == ["0.05", "0.25"]
    assert "1.2345 points" in drawing
    assert "stroke-opacity:0.45" in drawing
    assert not re.search(r' [dxy]="[^"]*\.\d\d', drawing)
    assert "<g>" not in drawing
    assert drawing.count("<g ") == drawing.count("</g>")


def test_one_bit_width_has_no_picture_over_bits_and_no_ablations_no_bars() -> None:
    page = render(synthetic_rows(FEW[:2], CELLS[:1]), "s")[1]
    assert "Bit widths" not in page
    assert "Ablations" not in page
    assert page.count("<svg") == 2


def test_the_opening_states_what_chance_and_doing_nothing_give() -> None:
    gaps = {"retrained": 0.0, "retrained again": 3.0, "original": 1.0, "a": 2.0, "b": 4.0}
    kinds = {"retrained": "retrained", "retrained again": "retrained", "original": "original"}
    rows = [
        change_row(_row(name, 1), average_gap=gap, kind=kinds.get(name, "unlearned"), forget=64, train=640)
        for name, gap in gaps.items()
    ]
    for document in render(rows, "s"):
        words = " ".join(document.split())
        assert (
            "It has the smallest gap of the methods in 1 of 1 cell; in 1 of these, doing nothing is as near"
            in words
        )
        assert (
            "the noise floor (a second retraining) has 3.00, doing nothing (the original) has 1.00." in words
        )
        assert "These numbers do not rank methods." in words
        assert "Differences of this size are chance." in words
        assert (
            "No method is nearer to retraining than doing nothing is, so these numbers rank no method."
            in words
        )
        assert "With 1 seed" in words
        assert (
            re.search(r"a \| \*\*2.00\*\* \| 1 of 1 \| 1 \(100 %\) \| \N{EN DASH}", words)
            or "<html" in document
        )
        assert "64 samples: UA and MIA move in steps of 1.6 points" in words
    assert "kinder to accuracy than the public code" not in words
    kinder = [change_row(row, method="l1-sparse") if row.method == "a" else row for row in rows]
    assert "l1-sparse: kinder to accuracy than the public code" in render(kinder, "s")[0]
    near_floor = [row for row in rows if row.method != "original"]
    assert "The nearest method is as near as a second retraining" in render(near_floor, "s")[0]
    clear = render([change_row(one, forget=600) for one in _clear()], "s")[1]
    assert not [words for words in ("mean little", "rank no method", "may be chance") if words in clear]


def test_originals_that_learned_otherwise_than_retrain_are_named() -> None:
    rows = [change_row(row, retain_accuracy=95.0) for row in _clear()]
    assert "too short to compare" not in render(rows, "s")[0]
    fewer = [change_row(row, retain_accuracy=85.0) if row.method == "original" else row for row in rows]
    words = " ".join(render(fewer, "s")[0].split())
    assert "the accuracy of the original is 10.0 points below Retrain's" in words


def _clear() -> list[ResultRow]:
    """A method that is far better than doing nothing, and apart from the floor by more than noise."""
    gaps = {
        "retrained": (0.0,) * 3,
        "retrained again": (0.1, 0.2, 0.1),
        "original": (9.0, 9.1, 9.2),
        "a": (2, 2.1, 2),
    }
    kinds = {"retrained": "retrained", "retrained again": "retrained", "original": "original"}
    return [
        change_row(_row(name, seed), average_gap=gap, kind=kinds.get(name, "unlearned"))
        for name, own in gaps.items()
        for seed, gap in enumerate(own, 1)
    ]


def test_committed_pages_are_small_enough_to_open_and_current_in_form() -> None:
    pages = sorted((Path(__file__).parents[2] / "benchmarks" / "results").glob("*/report.html"))
    assert pages
    for page in pages:
        text = page.read_text()
        assert len(text.encode()) <= 500_000, page  # the largest has 14 cells of 41 rows in three tables
        assert "<script>" in text, page


def test_nothing_to_report_is_an_error() -> None:
    with pytest.raises(ObliqError, match="no rows"):
        render([], "s")


def _row(method: str, seed: int) -> ResultRow:
    return result_row(
        data="digits",
        architecture="mlp",
        bits="W4A4",
        scenario="random=10%",
        seed=seed,
        method=method,
        kind="unlearned",
    )
