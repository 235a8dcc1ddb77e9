"""The sentences of a report."""

from __future__ import annotations

from collections.abc import Sequence

from obliq.benchmark.report.access import explain_access
from obliq.benchmark.report.background import Background
from obliq.benchmark.report.overview import Leaderboard
from obliq.benchmark.report.summaries import CellSummary
from obliq.benchmark.report.tables import NOT_APART, counted, shown
from obliq.benchmark.suite import ORIGINAL, RETRAINED_AGAIN

FEW = 100
"""Forget samples below which a single answer moves an accuracy by more than a point."""
UNSETTLED = 3.0
"""Points of RA between original and Retrain. In the committed suites it is at most 1.8."""
KINDER = ("l1-sparse", "boundary-shrink")
"""Methods whose public code loses more accuracy: theirs penalises more than weights, or follows forget batches."""
ABLATIONS = (
    "Each ablation changes one setting of a method and takes all its other settings over. The change of Avg. Gap is "
    "paired by seed and cell. Above 0, the ablation is farther from retraining, so what it changes had helped."
)


def opening(summaries: Sequence[CellSummary], background: Background) -> Sequence[str]:
    """What was measured, on what, how often, how methods were tuned, and how to read it."""
    return (
        _measured(summaries),
        _tuned(background),
        "Avg. Gap is the mean absolute difference to Retrain in UA, RA, TA and MIA, in percentage points. Retrain is "
        "the same network trained from the start without the forget set. A smaller gap is nearer to retraining; "
        "neither a high nor a low value of these four is good in itself.",
        "The noise floor, retrained again, is a second retraining with another seed. It differs from Retrain by "
        f"chance alone, so no method can be expected to come nearer than that.{_without_floor(summaries)}",
        f"Every number was measured by this suite; none is quoted from a paper.{_SEVERAL * _ran_apart(background)}",
    )


def _without_floor(summaries: Sequence[CellSummary]) -> str:
    """A sentence on cells whose row of the noise floor is missing, as in a suite that was interrupted."""
    cells = sum(all(one.method != RETRAINED_AGAIN for one in summary.methods) for summary in summaries)
    return f" That row is missing in {cells} of {counted(len(summaries), 'cell')}." if cells else ""


_SEVERAL = (
    " Rows come from several kinds of machines or versions, see below: Avg. Gap and time compare each row with a "
    "network that was retrained with it, and other columns with the one in these tables."
)


def _ran_apart(background: Background) -> bool:
    """Whether rows come from more than one kind of machine or version."""
    return any(" or " in value for name, value in background.facts.items() if name != "obliq")


def _measured(summaries: Sequence[CellSummary]) -> str:
    cells = [summary.cell for summary in summaries]
    seeds = {seed for summary in summaries for seed in summary.seeds}
    methods = {one.method for summary in summaries for one in summary.methods if not one.reference}
    text = (
        f"This benchmark compares {counted(len(methods), 'method')} in {counted(len(cells), 'cell')}. A cell is one "
        f"request to one kind of network. Data: {_listed([cell.data for cell in cells])}; networks: "
        f"{_listed([cell.architecture for cell in cells])} at {_listed([cell.bits for cell in cells])}; requests: "
        f"{_listed([cell.scenario for cell in cells])}. "
    )
    if len(seeds) == 1:
        return text + "There is one seed, so no number has a deviation and no difference can be called noise."
    return text + (
        f"Numbers are mean ± sample standard deviation over up to {len(seeds)} seeds. Each seed has its own original "
        "network, its own request and its own retrained network."
    )


def _tuned(background: Background) -> str:
    if background.trials == 1:
        return "Nothing was tuned: the methods have their default settings, or those that the suite names."
    if background.tuning_seed is None:
        return "How the methods' settings were chosen is not recorded."
    trials = "all" if background.trials is None else f"up to {background.trials}"
    bits = "" if background.tuning_bits is None else f" at {background.tuning_bits}"
    place = "" if background.tuned_in is None else f" on {background.tuned_in}"
    text = (
        f"Tuning: for each method, {trials} combinations of its open settings were tried on an original of another "
        f"seed ({background.tuning_seed}){bits}{place}. The audits of these trials use held-out training samples "
        "instead of test samples. The combination with the smallest Avg. Gap to that seed's own retrained network was "
        "kept for all seeds reported here."
    )
    if background.beyond_edges:
        text += (
            f" Where it lay at the edge of the learning rates, up to {background.beyond_edges} further trials went "
            "beyond it."
        )
    if background.failed_trials:
        numbers = ", ".join(f"{name} {count}" for name, count in background.failed_trials.items())
        text += f" Trials that failed, and so could not be chosen, over all requests: {numbers}."
    followed = " Ablations take the settings of the method that they follow." if background.follows else ""
    return text + followed


def marks(summaries: Sequence[CellSummary], background: Background) -> Sequence[str]:
    """What the marks in the tables mean."""
    methods = dict.fromkeys(one.method for cell in summaries for one in cell.methods if not one.reference)
    explained = [
        explain_access(methods, background.access),
        "Bold: the smallest mean Avg. Gap among methods that have one for every seed of the cell.",
        "AUC can be off to two sides. Above Retrain's (+), the forgotten samples are still recognised: under-forgot. "
        "Below (\N{MINUS SIGN}), the network is less sure of them than of unseen ones, which reveals them too: "
        "over-forgot.",
        "A dash: not measured, or does not apply.",
    ]
    if kinder := [name for name in KINDER if name in methods]:
        explained.append(
            f"{' and '.join(kinder)}: kinder to accuracy than the public code of the method, as its docstring states."
        )
    if not _several(summaries):
        return explained
    return [
        *explained,
        f"{NOT_APART}best: within noise of the best. The differences to the best, paired by seed, have a mean within "
        "their standard error times the 97.5 % quantile of Student's t (n \N{MINUS SIGN} 1 degrees of freedom; not "
        "corrected for the number of methods). With few seeds, even a far larger gap may be within noise: "
        "not told apart does not mean equal.",
        f"{NOT_APART}floor: no larger than the noise floor, or larger within noise by the same test.",
        "Under-forgot and over-forgot are marked only where the difference to Retrain is more than noise by the same "
        "test, against 0.",
    ]


def verdict(board: Leaderboard, summaries: Sequence[CellSummary]) -> str:
    """The leaderboard in a few sentences: the leader, and what chance and doing nothing give."""
    leaders = board.leaders
    if not leaders or leaders[0].gap is None:
        return "No method has a gap for every seed of every cell, so none leads."
    first, cells = leaders[0], len(board.cells)
    floor, nothing = _mean_gap(board, RETRAINED_AGAIN), _mean_gap(board, ORIGINAL)
    text = _whether_it_ranks(leaders[0].gap.mean, floor, nothing) + (
        f"Smallest mean Avg. Gap of {counted(len(leaders), 'method')}: {first.method}, "
        f"{shown(leaders[0].gap.mean, 2)} points"
    )
    if board.lead is not None:
        text += f", {shown(board.lead, 2)} times that of the next, {leaders[1].method}"
    text += f". It has the smallest gap of the methods in {first.firsts} of {counted(cells, 'cell')}"
    better = sum(_is_left_alone(one) for one in summaries if one.best and one.best.method == first.method)
    text += f"; in {better} of these, doing nothing is as near or nearer." if better else "."
    known = {"the noise floor (a second retraining)": floor, "doing nothing (the original)": nothing}
    named = [f"{name} has {shown(gap, 2)}" for name, gap in known.items() if gap is not None]
    return f"{text} For comparison: {', '.join(named)}." if named else text


def _whether_it_ranks(first: float, floor: float | None, nothing: float | None) -> str:
    """A sentence that comes first where the smallest gap of the methods shows nothing; else nothing."""
    if nothing is not None and nothing <= first:
        return "No method is nearer to retraining than doing nothing is, so these numbers rank no method. "
    if floor is not None and floor >= first:
        return (
            "The nearest method is as near as a second retraining, so which method is first may be chance. "
        )
    return ""


def cautions(board: Leaderboard, summaries: Sequence[CellSummary]) -> Sequence[str]:
    """When the numbers of a suite mean little; empty where none of these is so."""
    found = []
    first = board.leaders[0].gap if board.leaders else None
    floor, nothing = _mean_gap(board, RETRAINED_AGAIN), _mean_gap(board, ORIGINAL)
    if first is not None and nothing is not None and nothing <= first.mean:
        found.append(
            f"Doing nothing has a mean gap of {shown(nothing, 2)}, which no method reaches "
            f"({shown(first.mean, 2)} at best). These numbers do not rank methods."
        )
    elif alone := sum(map(_is_left_alone, summaries)):
        found.append(
            f"In {alone} of {counted(len(summaries), 'cell')}, doing nothing is as near to retraining as the best "
            "method, or nearer. The gap shows nothing there that had to be forgotten."
        )
    if first is not None and floor is not None and floor >= first.mean:
        found.append(
            f"The noise floor has a mean gap of {shown(floor, 2)}, and the leader {shown(first.mean, 2)}. Differences "
            "of this size are chance."
        )
    elif near := sum(one.best is not None and one.best.at_floor for one in summaries):
        found.append(
            f"In {near} of {counted(len(summaries), 'cell')}, the best method is not apart from the noise floor. Which "
            "method is first there may be chance."
        )
    apart = next((one.retain_difference for one in board.standings if one.method == ORIGINAL), None)
    if apart is not None and abs(apart) > UNSETTLED:
        found.append(
            f"On retained samples, the accuracy of the original is {shown(abs(apart))} points "
            f"{'above' if apart > 0 else 'below'} Retrain's. Both were trained on these samples, so the trainings may "
            "be too short to compare methods by."
        )
    seeds = min((len(one.seeds) for one in summaries), default=0)
    if seeds in (1, 2):
        found.append(f"With {counted(seeds, 'seed')}, hardly any difference can be called more than noise.")
    forgotten = min((count for one in summaries for count in one.forget), default=None)
    if forgotten is not None and forgotten < FEW:
        found.append(
            f"The smallest request has {counted(forgotten, 'sample')}: UA and MIA move in steps of "
            f"{shown(100 / forgotten)} points there."
        )
    return found


def _mean_gap(board: Leaderboard, name: str) -> float | None:
    return next((one.gap.mean for one in board.standings if one.method == name and one.gap), None)


def _is_left_alone(summary: CellSummary) -> bool:
    """Whether the original is as near to Retrain as the best method, or nearer."""
    original = next((one.gap for one in summary.methods if one.method == ORIGINAL), None)
    best = summary.best.gap if summary.best else None
    return original is not None and best is not None and original.mean <= best.mean


def samples(summary: CellSummary) -> str:
    """How many samples were trained on and forgotten, and over how many seeds."""
    text = f"{counted(len(summary.seeds), 'seed')}"
    if summary.train and summary.forget:
        text += f"; forget set: {_range(summary.forget)} of {_range(summary.train)} training samples"
    return text


def _range(counts: Sequence[int]) -> str:
    low, high = shown(min(counts), 0), shown(max(counts), 0)
    return low if low == high else f"{low} to {high}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def weighting(summaries: Sequence[CellSummary]) -> str:
    """How the leaderboard averages."""
    spread = ", and ± is the deviation of these values over seeds" if _several(summaries) else ""
    return (
        f"All cells weigh the same. A seed's value is its mean over the cells{spread}. Methods that lack a gap for "
        "some seed of some cell come last, because their mean is over easier cells."
    )


def _several(summaries: Sequence[CellSummary]) -> bool:
    return any(len(summary.seeds) > 1 for summary in summaries)
