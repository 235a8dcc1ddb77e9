"""What a report tells besides the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from obliq.benchmark.report.overview import Overview
from obliq.benchmark.report.summaries import CellSummary
from obliq.benchmark.report.tables import NOT_APART, counted, shown


@dataclass(frozen=True, kw_only=True)
class Background:
    """How the rows came about. What is not known is left out of the report, never guessed.

    Attributes:
        follows: from an ablation's name to the contender whose tuned fields it takes.
        trials: settings tried for each contender that is tuned.
        tuning_seed: of the originals that tuning ran on.
        tuning_bits: the bit width that tuning ran at.
        tuned_in: the network and data that tuning ran on, in words, where these are not the reported ones.
        facts: machine, versions and the like, by name.
    """

    follows: Mapping[str, str] = field(default_factory=dict)
    trials: int | None = None
    tuning_seed: int | None = None
    tuning_bits: str | None = None
    tuned_in: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


def opening(summaries: Sequence[CellSummary], background: Background) -> Sequence[str]:
    """What was measured, on what, how often, how methods were tuned, and how to read it."""
    return (
        _measured(summaries),
        _tuned(background),
        "Avg. Gap is the mean distance to Retrain in UA, RA, TA and MIA, in percentage points: a smaller gap is "
        "nearer to retraining, and neither a high nor a low value of these four is good in itself. Retrain is the "
        "same network trained from the start without the forget set.",
        "The noise floor, retrained again, is a second retraining with another seed. It differs from Retrain by "
        "chance alone, so no method can be expected to come nearer than that.",
        "Every number was measured in this run; nothing here is quoted from papers.",
    )


def _measured(summaries: Sequence[CellSummary]) -> str:
    cells = [summary.cell for summary in summaries]
    seeds = {seed for summary in summaries for seed in summary.seeds}
    contenders = {one.method for summary in summaries for one in summary.methods if not one.reference}
    text = (
        f"{counted(len(contenders), 'method')} made networks forget, in {counted(len(cells), 'cell')} "
        f"(a cell is one request on one kind of network): "
        f"{_listed([cell.data for cell in cells])} with {_listed([cell.architecture for cell in cells])} at "
        f"{_listed([cell.bits for cell in cells])}; requests: {_listed([cell.scenario for cell in cells])}. "
    )
    if len(seeds) == 1:
        return text + "There is one seed, so no number has a deviation and nothing can be called noise."
    return text + (
        f"Numbers are mean ± sample standard deviation over up to {len(seeds)} seeds; each seed has its own "
        "original, its own request and its own retrained network."
    )


def _tuned(background: Background) -> str:
    if background.tuning_seed is None:
        return "The rows do not say how the methods' settings were chosen."
    trials = "all" if background.trials is None else str(background.trials)
    bits = "" if background.tuning_bits is None else f" at {background.tuning_bits}"
    place = "" if background.tuned_in is None else f" on {background.tuned_in}"
    text = (
        f"Tuning: {trials} combinations of the settings that a method leaves open were tried on an original of another "
        f"seed ({background.tuning_seed}){bits}{place}, audited with held-out training samples in the place of test "
        "samples. The combination with the smallest Avg. Gap to that seed's own retrained network was kept for all "
        "seeds reported here."
    )
    followed = " Ablations take the setting of the method that they follow." if background.follows else ""
    return text + followed


def marks(summaries: Sequence[CellSummary]) -> Sequence[str]:
    """What the marks in the tables mean."""
    explained = [
        "Bold: the smallest mean Avg. Gap among methods that have one for every seed of the cell.",
        "AUC has two wrong sides. Above Retrain's (+), the forgotten samples are still recognised: under-forgot. "
        "Below (\N{MINUS SIGN}), the network is less sure of them than of unseen ones, which gives them away too: "
        "over-forgot.",
        "A dash stands for what was not measured or does not apply.",
    ]
    if not _several(summaries):
        return explained
    return [
        *explained,
        f"{NOT_APART}best: within noise of the best. The differences to the best, paired by seed, have a mean within "
        "their standard error times the 97.5 % quantile of Student's t (n \N{MINUS SIGN} 1 degrees of freedom; not "
        "corrected for the number of methods). With few seeds even a far larger gap may be within it: "
        "not told apart is not the same as equal.",
        f"{NOT_APART}floor: no larger than the noise floor, or larger within noise by the same test.",
        "The words under-forgot and over-forgot are given only where the difference is more than noise by the "
        "same test, against 0.",
    ]


def verdict(board: Overview) -> str:
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


def weighing(summaries: Sequence[CellSummary]) -> str:
    """How the leaderboard averages."""
    spread = ", and ± is the deviation of these values over seeds" if _several(summaries) else ""
    return (
        f"All cells weigh the same. A seed's value is its mean over the cells{spread}. A method that lacks a gap for "
        "some seed of some cell comes after those that lack none, for its mean is over easier ground."
    )


def _several(summaries: Sequence[CellSummary]) -> bool:
    return any(len(summary.seeds) > 1 for summary in summaries)


ABLATIONS = (
    "Each ablation changes one thing about a contender and takes all its other settings over. The change of Avg. Gap "
    "is paired by seed and cell: above 0, what was changed had helped."
)
