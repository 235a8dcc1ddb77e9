import itertools
import random

import numpy as np
import pytest
from markupsafe import Markup

from obliq.benchmark.report.label_placement import (
    Box,
    crosses,
    insert_names,
    leader_line,
    overlaps,
    place_labels,
    shorten,
    spread_apart,
    text_width,
    token,
)

BOUNDS = Box(0, 0, 480, 340)


@pytest.mark.parametrize("seed", range(4))
def test_labels_lie_within_bounds_over_no_label_and_no_point(seed: int) -> None:
    chance = random.Random(seed)
    points = [(240 + chance.gauss(0, 40), 150 + chance.gauss(0, 25)) for _ in range(24)]
    sizes = [(chance.uniform(20, 110), 8.0) for _ in points]
    boxes = place_labels(points, sizes, BOUNDS)
    found = [box for box in boxes if box is not None]
    assert len(found) == len(points)
    assert all(box.left >= 0 and box.right <= 480 and box.bottom >= 0 and box.top <= 340 for box in found)
    for one, two in itertools.combinations(found, 2):
        assert (
            one.right <= two.left or two.right <= one.left or one.top <= two.bottom or two.top <= one.bottom
        )
    assert not any(box.left < x < box.right and box.bottom < y < box.top for box in found for x, y in points)
    for box, size in zip(found, sizes, strict=True):
        assert (box.right - box.left, box.top - box.bottom) == pytest.approx(size)


def test_a_lonely_point_has_its_name_beside_it() -> None:
    (box,) = place_labels([(100.0, 100.0)], [(50.0, 8.0)], BOUNDS)
    assert box is not None
    assert box.left == pytest.approx(105)
    assert leader_line((100.0, 100.0), box) is None


def test_without_room_there_is_no_place() -> None:
    assert place_labels([(10.0, 10.0)], [(50.0, 8.0)], Box(0, 0, 40, 40)) == [None]


def test_a_line_through_a_box_is_seen_and_one_past_it_is_not() -> None:
    box = np.array([[0.0, 0.0, 10.0, 10.0]])
    through = np.array([[-5.0, 5, 15, 5], [-5, -4, 15, 12], [5, -1, 5, 11]])
    past = np.array([[-5.0, 5, -1, 5], [-5, 8, 2, 15], [5, 11, 5, 20]])
    assert crosses(through, box).all()
    assert not crosses(past, box).any()


def test_boxes_that_only_touch_do_not_overlap() -> None:
    box = np.array([[0.0, 0.0, 10.0, 10.0]])
    assert overlaps(box, np.array([[9.0, 9, 12, 12], [2, 2, 3, 3]])).all()
    assert not overlaps(box, np.array([[10.0, 0, 12, 12], [0, 10, 10, 12]])).any()


def test_heights_keep_their_order_and_their_distance() -> None:
    wanted = [50.0, 3.0, 1.0, 2.0, 90.0]
    heights = spread_apart(wanted, 10.0)
    assert heights == [50.0, 12.0, -8.0, 2.0, 90.0]  # those that crowd share their middle


def test_heights_far_enough_apart_stay() -> None:
    assert spread_apart([30.0, 10.0, 20.0], 10.0) == [30.0, 10.0, 20.0]


def test_long_names_are_cut_to_one_line() -> None:
    assert shorten("a\nb") == "a b"
    assert len(shorten("x" * 100)) == 34
    assert text_width("漢字", 10) == 20


def test_names_enter_a_drawing_escaped_and_unread() -> None:
    drawing = Markup("<text>{}</text><text>{}</text>").format(Markup(token(0)), Markup(token(11)))
    assert insert_names(drawing, {0: "<b>@11@", 11: "$x$"}) == "<text>&lt;b&gt;@11@</text><text>$x$</text>"
