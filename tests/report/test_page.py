import dataclasses
import io
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from PIL import Image

from obliq.auditing import Audit, AuditedModel, audit_models
from obliq.errors import AuditError, ObliqError
from obliq.report.figures import auc_intervals, evidence_bands
from obliq.report.page import render_audit_report
from tests.auditing.synthetic import network, references, three
from tests.report.drawn_once import charts_drawn_once
from tests.report.sample import sample_audit, sample_shipment, sample_story

VOID = {"meta", "br", "img", "link", "hr", "input"}
CLAIMS = (
    "has been deleted",
    "is deleted",
    "data deleted",
    "no influence",
    "gdpr",
    "compliant",
    "anonymous",
    "irreversible",
    "guarantee",
    "proves",
    "certif",
)
NASTY = '<script>alert("$x$")</script>&\''


class Outline(HTMLParser):
    """Elements that open and close in pairs, ids, and the text outside of style."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.addresses += [
            value or "" for name, value in attrs if name in ("href", "src", "action", "xlink:href")
        ]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module", autouse=True)
def draw_again() -> Iterator[Callable[[], None]]:
    """Forget the charts that were drawn for other tests, which are kept otherwise."""
    with charts_drawn_once() as forget:
        yield forget


@pytest.fixture(scope="module")
def measured() -> Audit:
    return sample_audit()


@pytest.fixture(scope="module")
def page(measured: Audit) -> str:
    return render_audit_report(measured, sample_story())


def test_page_is_balanced_and_fetches_nothing(page: str) -> None:
    outline = Outline(page)
    assert "script" not in outline.seen
    assert "link" not in outline.seen
    assert len(outline.ids) == len(set(outline.ids))
    assert all(address.startswith(("#", "data:image/png")) for address in outline.addresses)
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "").replace("http-equiv", "")
    assert not re.search(r"@import|url\((?!#)", page)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert len(page) < 400_000


def test_same_inputs_same_page(measured: Audit, page: str, draw_again: Callable[[], None]) -> None:
    draw_again()
    assert render_audit_report(measured, sample_story()) == page


def against_several() -> Audit:
    """Two networks after unlearning, of which the first remembers, next to four retrained ones."""
    models = three(unlearned=4.0)
    again = [
        AuditedModel(kind="retrained", name=f"retrained {seed}", answers=network(2.0, seed))
        for seed in (11, 12, 13)
    ]
    second = AuditedModel(kind="unlearned", name="second", answers=network(2.0, 9))
    return audit_models(
        [models[0], dataclasses.replace(models[1], name="first"), second, models[2], *again], precision="W4A4"
    )


def test_every_network_and_number_is_there(measured: Audit, page: str) -> None:
    text = Outline(page).text
    for entry in measured.entries:
        assert entry.name in text
        assert f"{entry.unlearning_accuracy:.1f}" in text
        assert f"{entry.auc_forget_vs_test:.1f}" in text
    assert measured.unlearned[0].verdict is not None
    assert measured.unlearned[0].verdict.word in text
    assert measured.unlearned[0].verdict.reason in text
    assert "one subject" in text
    assert "b" * 64 in text
    assert "What is not claimed" in text


@pytest.mark.parametrize("way", ["--with MODULE:FUNCTION", "--from-weights WEIGHTS"])
def test_a_network_that_obliq_cannot_train_again_gets_commands_that_its_user_can_run(
    measured: Audit, way: str
) -> None:
    page = Outline(render_audit_report(measured, sample_story(way_to_retrain=way)))
    text = " ".join(page.text.split())
    assert "--references" not in text
    assert (
        "Run the first command for N from 1 to 4, with your own training or weights, and then audit" in text
    )
    assert (
        f"obliq retrain ORIGINAL --forget request=UNLEARNED/request.json {way} --seed N --out RETRAINED-N"
        in text
    )
    assert "obliq audit ORIGINAL UNLEARNED --retrained RETRAINED-* --out AUDIT" in text


def test_the_first_page_answers_what_who_when_and_what_next(measured: Audit) -> None:
    filed = dataclasses.replace(measured, case="DSR-7", operator="A. Example")
    local = sample_story(created=datetime(2026, 3, 1, 10, 5, tzinfo=timezone(timedelta(hours=1))))
    page = render_audit_report(filed, local)
    text = " ".join(Outline(page).text.split())
    unlearned, retrained = measured.unlearned[0], measured.retrained
    assert retrained is not None
    for sentence in (
        "Case DSR-7",
        "Operator A. Example",
        "Created 2026-03-01 09:05 UTC",
        "Request one subject Samples to forget 400 of 1,900 training samples",
        f"Digest of the request {'c' * 64}",
        "A method (oeu) changed the finished network so that it should forget these samples. The result was then "
        "tested next to the network as it was before, and next to one network that never saw these samples.",
        "obliq audit ORIGINAL UNLEARNED --references 4 --out AUDIT",
        f"In {unlearned.auc_forget_vs_test:.0f} of 100 pairs, the network is more certain of the forgotten sample.",
        f"Before unlearning, it was {measured.original.auc_forget_vs_test:.0f} of 100.",
        f"it is {retrained.auc_forget_vs_test:.0f} of 100: that is the value to aim at.",
    ):
        assert sentence in text
    assert text.index("What was done") < text.index("What is not claimed") < text.index("In the annex")
    first, annex = page.split('<div class="annex">')
    assert "<details" not in first
    assert annex.count("<details>") == annex.count("<h2>") == len(re.findall(r'<a href="#', first))


def test_nobody_is_named_who_was_not_given(page: str) -> None:
    text = " ".join(Outline(page).text.split())
    assert "Case not given (--case)" in text
    assert "Operator not given (--operator)" in text


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ObliqError, match="no time zone"):
        sample_story(created=datetime(2026, 3, 1))


def test_bands_share_one_axis_whatever_the_unit() -> None:
    entry = against_several().unlearned[0]
    figures = evidence_bands(entry)
    assert entry.verdict is not None
    assert [figure.outside for figure in figures] == [
        ("above" if one.value > one.centre else "below") if one.outside(one.value) else ""
        for one in entry.verdict.comparisons
    ]
    assert any(figure.outside for figure in figures)
    both = [
        figure.drawing
        for figure, one in zip(figures, entry.verdict.comparisons, strict=True)
        if one.sides == "both"
    ]
    bands = {
        found
        for drawing in both
        for found in re.findall(r'<path d="([^"]*)"[^>]*fill:var\(--range\)', str(drawing))
    }
    assert len(both) > 1
    assert len(bands) == 1


def test_what_lies_within_the_range_but_too_far_from_its_middle_is_marked() -> None:
    entry = against_several().unlearned[1]
    assert entry.verdict is not None
    gap = next(one for one in entry.verdict.comparisons if one.name == "margin_gap")
    assert gap.high is not None
    far = dataclasses.replace(gap, value=gap.high - 0.01)
    verdict = dataclasses.replace(entry.verdict, comparisons=(far, gap))
    marked, plain = evidence_bands(dataclasses.replace(entry, verdict=verdict))
    assert (marked.undecided, plain.undecided, marked.outside) == (True, False, "")
    assert "(to pass: " in marked.note
    assert "to pass" not in plain.note


def test_with_several_networks_each_has_its_name_where_its_numbers_are() -> None:
    page = render_audit_report(against_several(), dataclasses.replace(sample_story(), method="oeu, salun"))
    tiles = re.findall(r'<li class="tile">(.*?)</li>', page, flags=re.DOTALL)
    assert tiles
    assert all("<em>first</em>" in tile for tile in tiles)
    text = " ".join(Outline(page).text.split())
    assert "REMEMBERED · first" in text
    assert "Methods (oeu; salun) changed the finished network" in text
    for words in ("second: ", "What to do next with first.", "What to do next with second."):
        assert words in text
    assert "The course of unlearning: first" in text


@pytest.mark.parametrize(
    ("retain_data", "sentences"),
    [
        ({}, []),
        ({"n": "nothing"}, ["What the method read of the retained samples: nothing."]),
        (
            {"n": "nothing", "m": "not recorded"},
            [
                "n. What the method read of the retained samples: nothing.",
                "m. What the method read of the retained samples: not recorded.",
            ],
        ),
    ],
)
def test_the_annex_states_what_each_method_read_of_the_retained_samples(
    retain_data: dict[str, str], sentences: list[str], measured: Audit
) -> None:
    page = render_audit_report(measured, sample_story(retain_data=retain_data))
    text = " ".join(Outline(page).text.split())
    assert text.count("of the retained samples:") == len(sentences)
    assert " ".join(sentences) in text
    assert f"{sample_story().method} {' '.join(sentences)}".strip() in text  # below the method's name


def test_a_network_no_better_than_a_constant_answer_has_the_terminal_s_warning() -> None:
    models = three()
    poor = network(2.0, 2, test=-4.0)
    audit = audit_models(
        [models[0], dataclasses.replace(models[1], answers=poor), models[2]], precision="W4A4"
    )
    (warning,) = audit.warnings
    text = " ".join(Outline(render_audit_report(audit, sample_story())).text.split())
    assert f"Warning: {warning}." in text


def test_control_characters_are_shown_and_never_sent() -> None:
    acting = "\x1b[2J\x07\u202e\udcff\x9b"
    models = [dataclasses.replace(model, name=f"{model.kind} {acting}") for model in three()]
    story = sample_story(data=acting, training={acting: sample_story().training["original"]})
    page = render_audit_report(audit_models(models, precision=acting), story, sample_shipment())
    assert not set(acting) & set(page) - set("[2J")
    assert r"\x1b[2J\x07\u202e\udcff\x9b" in Outline(page).text
    page.encode()
    for name in ("case", "operator"):
        with pytest.raises(AuditError, match="expected one line"):
            dataclasses.replace(sample_audit(), **{name: f"a{acting}"})


def test_tables_keep_targets_and_counts_in_every_cell_for_phones(page: str) -> None:
    labels = re.findall(r'<td><span class="label" aria-hidden="true">(.*?)</span></span>', page)
    assert labels
    assert all("wanted: " in label for label in labels)
    assert any(
        "UA: wrong answers on forgotten samples" in label and "n&nbsp;=&nbsp;400" in label for label in labels
    )


def test_digests_have_names_in_words() -> None:
    named = audit_models(three(), precision="W4A4", digests={"partition": "b" * 64, "splits": "c" * 64})
    text = " ".join(Outline(render_audit_report(named, sample_story())).text.split())
    assert (
        f"the request: which samples to forget (HMAC-SHA-256, keyed with the request's salt){'c' * 64}"
        in text
    )


def test_ticks_lie_within_the_axis_and_cover_the_intervals(measured: Audit) -> None:
    shown = auc_intervals(measured)
    assert [row.heading for row in shown.rows] == [entry.name for entry in measured.entries]
    assert len(shown.ticks) >= 2
    assert all(0 < place < 100 for place in shown.ticks)


def test_pictures_are_named_and_follow_the_colours_of_the_page(page: str) -> None:
    pictures = re.findall(r"<svg[^>]*>", page)
    assert len(pictures) == 3 + 3 + 3 + 5 + 2
    assert all('role="img"' in picture and 'aria-label="' in picture for picture in pictures)
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert not re.search(r"#0\d0\d0\d", drawings)
    assert "DejaVu" not in drawings


def test_nothing_is_overclaimed(page: str) -> None:
    text = " ".join(Outline(page).text.lower().split())
    for phrase in CLAIMS:
        assert phrase not in text


def test_names_from_outside_are_escaped(measured: Audit) -> None:
    models = [dataclasses.replace(model, name=f"{model.kind} {NASTY}") for model in three()]
    nasty = audit_models(models, precision=NASTY, digests={NASTY: NASTY})
    rows = sample_story().training["original"]
    story = sample_story(
        title=NASTY,
        request=NASTY,
        data=NASTY,
        architecture=NASTY,
        method=NASTY,
        method_settings={NASTY: NASTY},
        retain_data={NASTY: NASTY, "other": NASTY},
        training={NASTY: rows},
        versions={NASTY: NASTY},
    )
    page = render_audit_report(nasty, story)
    assert "script" not in Outline(page).seen
    assert "<script" not in page.lower()


def test_without_a_retrained_network_the_page_says_why_there_is_no_gap() -> None:
    page = render_audit_report(
        audit_models(three()[:2], precision="W4A4"), sample_story(trace=(), training={})
    )
    text = " ".join(Outline(page).text.split())
    assert "No average gap is given" in text
    assert "no retrained network" in text


def test_a_page_names_one_aim_everywhere_or_none() -> None:
    def shown(count: int, exchangeable: bool) -> str:
        found = audit_models(three()[:count], precision="W4A4", exchangeable=exchangeable)
        page = render_audit_report(found, sample_story(trace=(), training={}))
        return " ".join(Outline(page).text.split()) + " ".join(re.findall(r'aria-label="(.*?)"', page))

    random, other, compared = shown(2, True), shown(2, False), shown(3, False)
    nowhere = (
        r"wanted: (50|1\b|high|no loss|like)|is the value to aim at|dashed line|follows the line of unseen"
    )
    assert not re.search(nowhere, other)
    assert other.count("wanted: not known without retraining") >= 8  # tables, tile and the charts of the AUC
    assert "wanted: not below the original's" in other
    assert "wanted: 50, as for unseen samples" in random
    assert "dashed line is the value to aim at: 50" in random
    assert not re.search(r"wanted: (not known without retraining|not below)", compared)
    assert "wanted: like retrained" in compared


def test_relative_numbers_are_shown_where_they_were_measured(page: str) -> None:
    assert "RMIA" not in page
    known = audit_models(three(), precision="W4A4", references=references())
    text = " ".join(Outline(render_audit_report(known, sample_story(trace=(), training={}))).text.split())
    assert f"{known.original.rmia_auc:.1f}" in text
    assert f"{known.original.iam_auc:.1f}" in text
    assert "a comparison with confidences of the retrained networks (RMIA); a comparison with" in text
    assert "4, of which 2 did not see the sample" in text
    assert all(phrase not in text.lower() for phrase in CLAIMS)
    alone = audit_models(three()[:2], precision="W4A4", references=references())
    text = " ".join(Outline(render_audit_report(alone, sample_story(trace=(), training={}))).text.split())
    assert "RMIA" in text
    assert "ToW" not in text


def test_the_bare_minimum_still_renders() -> None:
    few = audit_models(three(forget=5)[:1], precision="FP32")
    text = Outline(
        render_audit_report(few, sample_story(trace=[{"step": 1, "of": 1}], training={}, method_settings={}))
    ).text
    assert "NO VERDICT" in text
    assert "too few forget samples" in text


def test_images_only_when_given(measured: Audit, page: str) -> None:
    assert "<img" not in page
    drawn = io.BytesIO()
    Image.new("L", (8, 8)).save(drawn, format="PNG")
    assert 'src="data:image/png;base64,' in render_audit_report(
        measured, sample_story(images=(drawn.getvalue(),))
    )
    with pytest.raises(AuditError, match="PNG"):
        render_audit_report(measured, sample_story(images=(b"<svg onload=alert(1)>",)))


def test_what_ships_is_told_when_something_does(measured: Audit, page: str) -> None:
    assert "What ships" not in page
    text = " ".join(Outline(render_audit_report(measured, sample_story(), sample_shipment())).text.split())
    for shown in (
        "unlearned.onnx",
        "28,000 bytes",
        "onnxruntime 1.0",
        "99.62 %",
        "99.99 %",
        "4.0 %",
        "7 of 90",
    ):
        assert shown in text
    assert "e" * 64 in text
    assert all(phrase not in text.lower() for phrase in CLAIMS)


def test_what_ships_without_parity_and_patch(measured: Audit) -> None:
    bare = dataclasses.replace(sample_shipment(), parity=None, patch=None, file=NASTY)
    page = render_audit_report(measured, sample_story(), bare)
    text = " ".join(Outline(page).text.split())
    assert "The file was not run here" in text
    assert "The patch" not in text
    assert "Does it give the same answers?" not in text
    assert "<script" not in page.lower()
