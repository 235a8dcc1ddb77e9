import math

import pytest

from obliq.benchmark.report.ablations import ablation_effects
from obliq.benchmark.report.overview import rank_methods
from obliq.benchmark.report.statistics import group_by_cell, spread_of, within_noise
from obliq.benchmark.report.summaries import MethodSummary, summarise
from obliq.benchmark.report.tables import leaderboard_table
from obliq.benchmark.rows import ResultRow
from obliq.errors import ObliqError
from tests.benchmark.synthetic_rows import change_row, result_row

T_2 = 4.302652729749464  # 97.5 % quantile of Student's t with 2 degrees of freedom, from a printed table


def row(
    method: str, seed: int, gap: float | None, *, auc: float = 50.0, bits: str = "W4A4", **more: object
) -> ResultRow:
    kind = method if method in ("original", "retrained") else "unlearned"
    values = {"kind": kind, "average_gap": gap, "auc_forget_vs_test": auc, "retain_accuracy": 90.0} | more
    return result_row(
        data="digits",
        architecture="mlp",
        bits=bits,
        scenario="random=10%",
        seed=seed,
        method=method,
        **values,
    )  # type: ignore[arg-type]


def table(rows: list[ResultRow]) -> dict[str, MethodSummary]:
    (group,) = group_by_cell(rows)
    return {one.method: one for one in summarise(group).methods}


def of(gaps: dict[str, tuple[float | None, ...]]) -> list[ResultRow]:
    return [row(name, seed, gap) for name, own in gaps.items() for seed, gap in enumerate(own, start=1)]


def test_mean_and_sample_deviation() -> None:
    found = spread_of([1.0, None, 3.0, 5.0])
    assert found is not None
    assert (found.mean, found.deviation, found.count) == (3.0, 2.0, 3)


def test_one_value_has_no_deviation_and_none_no_mean() -> None:
    one = spread_of([2.5])
    assert one is not None
    assert one.deviation is None
    assert spread_of([None]) is None


@pytest.mark.parametrize(("factor", "inside"), [(0.999, True), (1.001, False)])
def test_noise_ends_at_the_quantile_of_student(factor: float, inside: bool) -> None:
    # deviation 1 over three pairs: the standard error is 1 / sqrt(3)
    mean = factor * T_2 / math.sqrt(3)
    assert within_noise([mean - 1, mean, mean + 1]) is inside


def test_one_pair_is_never_within_noise_and_equal_pairs_always_are() -> None:
    assert not within_noise([0.0])
    assert within_noise([0.0, 0.0])
    assert not within_noise([0.1, 0.1])


def test_smallest_gap_is_best_and_what_cannot_be_told_apart_is_marked() -> None:
    found = table(
        of({"retrained": (0, 0, 0), "a": (1.0, 1.1, 1.2), "near": (1.0, 1.3, 1.2), "far": (2.0, 2.1, 2.25)})
    )
    assert [name for name, one in found.items() if one.best] == ["a"]
    assert [name for name, one in found.items() if one.as_best] == ["near"]


def test_pairing_sees_what_unpaired_means_would_not() -> None:
    # both vary by far more than they differ, but by the same
    found = table(of({"a": (1.0, 5.0, 9.0), "b": (1.5, 5.5, 9.51)}))
    assert found["a"].best
    assert not found["b"].as_best


def test_one_seed_marks_a_best_but_nothing_as_good() -> None:
    found = table(of({"a": (1.0,), "b": (1.0,)}))
    assert found["a"].best
    assert not found["b"].as_best


def test_a_method_that_lacks_a_seed_is_not_best() -> None:
    rows = of({"hard": (1.0, 1.0), "easy": (0.1,)})
    rows.append(row("easy", 2, None, kind="failed", error="it broke"))
    found = table(rows)
    assert found["hard"].best
    assert not found["easy"].best
    assert found["easy"].seeds == 1


def test_reference_networks_come_first_and_are_never_best() -> None:
    found = table(
        of({"b": (2.0,), "a": (1.0,), "original": (3.0,), "retrained": (0.0,), "retrained again": (0.2,)})
    )
    assert list(found) == ["retrained", "retrained again", "original", "a", "b"]
    assert [name for name, one in found.items() if one.reference] == [
        "retrained",
        "retrained again",
        "original",
    ]
    assert found["a"].best


def test_noise_floor_is_reached_from_below_or_within_noise() -> None:
    found = table(
        of(
            {
                "retrained again": (0.5, 0.6, 0.7),
                "below": (0.1, 0.2, 0.3),
                "in": (0.5, 0.7, 0.7),
                "above": (1, 1.1, 1.2),
            }
        )
    )
    assert [name for name, one in found.items() if one.at_floor] == ["below", "in"]


def test_both_sides_of_auc_are_told_apart_and_neither_is_nearer() -> None:
    rows = [row("retrained", seed, 0.0, auc=45.0 + seed) for seed in (1, 2, 3)]
    for name, offset in (("under", 3.0), ("over", -3.0), ("like", 0.0)):
        rows += [row(name, seed, 1.0, auc=45.0 + seed + offset + 0.1 * (seed - 2)) for seed in (1, 2, 3)]
    found = table(rows)
    assert {name: found[name].side for name in ("under", "over", "like")} == {
        "under": "under",
        "over": "over",
        "like": "",
    }
    for name, mean in (("under", 3.0), ("over", -3.0)):
        signed, distance = found[name].spreads["auc_difference"], found[name].spreads["auc_distance"]
        assert signed is not None
        assert distance is not None
        assert signed.mean == pytest.approx(mean)
        assert signed.deviation == pytest.approx(0.1)
        assert distance.mean == pytest.approx(3.0)


def test_distance_from_chance_does_not_cancel_between_seeds() -> None:
    found = table([row("a", 1, 1.0, auc=44.0), row("a", 2, 1.0, auc=56.0)])["a"].spreads["auc_from_chance"]
    assert found is not None
    assert found.mean == 6.0


def test_two_rows_of_one_place_are_refused() -> None:
    with pytest.raises(ObliqError, match="two rows of 'a' for seed 1"):
        group_by_cell([row("a", 1, 1.0), row("a", 1, 2.0)])


def test_cells_come_in_order_of_their_bits() -> None:
    found = group_by_cell([row("a", 1, 1.0, bits=bits) for bits in ("W8A8", "FP32", "W16A16", "W2A2")])
    assert [group.cell.bits for group in found] == ["W2A2", "W8A8", "W16A16", "FP32"]


def over(rows: list[ResultRow]) -> tuple[dict[str, object], float | None]:
    groups = group_by_cell(rows)
    board = rank_methods(groups, [summarise(group) for group in groups])
    return {one.method: one for one in board.standings}, board.lead


def test_the_worst_cell_is_named_where_there_are_several() -> None:
    first = of({"retrained": (0, 0), "a": (1.0, 2.0)})
    worse = [change_row(one, bits="W2A2") for one in of({"retrained": (0, 0), "a": (3.0, 6.0)})]
    for rows, named in ((first, []), (first + worse, ["W2A2"])):
        groups = group_by_cell(rows)
        table = leaderboard_table(rank_methods(groups, [summarise(group) for group in groups]), {})
        column = [heading.label for heading in table.headings].index("Worst gap")
        (own,) = (row for row in table.rows if row.name == "a")
        assert list(own.cells[column].marks) == named


def test_standings_average_cells_and_find_the_worst() -> None:
    first = of({"retrained": (0, 0), "a": (1.0, 2.0), "b": (2.0, 4.0)})
    second = [
        change_row(one, bits="W2A2", retain_accuracy=80.0) for one in of({"a": (3.0, 6.0), "b": (1.0, 1.0)})
    ]
    second += [change_row(row("retrained", seed, 0.0), bits="W2A2", retain_accuracy=84.0) for seed in (1, 2)]
    found, lead = over(first + second)
    b, a = found["b"], found["a"]
    assert (b.gap.mean, b.gap.deviation) == (2.0, pytest.approx(math.sqrt(0.5)))  # 1.5 and 2.5  # type: ignore[attr-defined]
    assert a.gap.mean == 3.0  # type: ignore[attr-defined]
    assert lead == pytest.approx(2 / 3)
    assert (a.firsts, b.firsts) == (1, 1)  # type: ignore[attr-defined]
    assert str(a.worst[0]) == "random=10% · W2A2 · digits · mlp"  # type: ignore[attr-defined]
    assert a.worst[0].among([one.cell for one in group_by_cell(first + second)]) == "W2A2"  # type: ignore[attr-defined]
    assert a.worst[1] == 4.5  # type: ignore[attr-defined]
    assert a.retain_difference == -2.0  # type: ignore[attr-defined]


def test_who_misses_a_cell_does_not_lead() -> None:
    rows = [*of({"everywhere": (5.0,), "once": (0.1,)}), row("everywhere", 1, 5.0, bits="W2A2")]
    found, lead = over(rows)
    assert list(found) == ["everywhere", "once"]
    assert lead is None


def test_ablations_are_paired_by_seed_and_cell() -> None:
    rows = of({"ours": (1.0, 2.0, 3.0), "without": (2.0, 4.0, 4.0), "stranger": (0.0, 0.0, 0.0)})
    rows += [
        change_row(one, bits="W2A2") for one in of({"ours": (9.0, 9.0, 9.0), "without": (10.0, 9.0, 9.0)})
    ]
    (found,) = ablation_effects(group_by_cell(rows), {"without": "ours", "absent": "ours"})
    assert found.cells == 2
    assert found.change.mean == pytest.approx((1.0 + 1.0 + 0.5) / 3)
    assert found.change.deviation == pytest.approx(math.sqrt(1 / 12))
    assert not found.noise
