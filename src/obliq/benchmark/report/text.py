"""The sentences of a report."""

from __future__ import annotations

from collections.abc import Sequence

from obliq.benchmark.report.background import Background
from obliq.benchmark.report.overview import Leaderboard
from obliq.benchmark.report.summaries import CellSummary
from obliq.benchmark.report.tables import NOT_APART, counted, shown

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
        "chance alone, so no method can be expected to come nearer than that.",
        "Every number was measured in this run; none is quoted from a paper.",
    )


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
    followed = " Ablations take the settings of the method that they follow." if background.follows else ""
    return text + followed


def marks(summaries: Sequence[CellSummary]) -> Sequence[str]:
    """What the marks in the tables mean."""
    explained = [
        "Bold: the smallest mean Avg. Gap among methods that have one for every seed of the cell.",
        "AUC can be off to two sides. Above Retrain's (+), the forgotten samples are still recognised: under-forgot. "
        "Below (\N{MINUS SIGN}), the network is less sure of them than of unseen ones, which reveals them too: "
        "over-forgot.",
        "A dash: not measured, or does not apply.",
    ]
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


def verdict(board: Leaderboard) -> str:
    """The leaderboard in one sentence."""
    leaders = board.leaders
    if not leaders or leaders[0].gap is None:
        return "No method has a gap for every seed of every cell, so none leads."
    first = leaders[0]
    text = (
        f"Smallest mean Avg. Gap: {first.method}, {shown(leaders[0].gap.mean, 2)} points; "
        f"best in {first.firsts} of {counted(len(board.cells), 'cell')}"
    )
    if board.lead is not None:
        text += f"; {shown(board.lead, 2)} times the gap of the next, {leaders[1].method}"
    return text + "."


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
