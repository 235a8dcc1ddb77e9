"""The accuracy of a network that was trained elsewhere, and what looks wrong about it, as lines for people."""

from collections.abc import Mapping

from obliq.cli.tables import number, table
from obliq.workflow.baseline import is_near_chance

BETTER_SCALE = 5.0
"""Points of accuracy by which another scaling of inputs is better where a network was trained on that one."""
LARGE_LOSS = 5.0
"""Points of accuracy that quantization may cost before a remedy is named."""
_PARTS = {"train": "training"}


def accuracy_lines(
    accuracy: Mapping[str, Mapping[str, float]], counts: Mapping[str, int], baselines: Mapping[str, float]
) -> list[str]:
    """Accuracy at each stage on each part, and that of always answering the most frequent class."""
    parts = list(baselines)
    lines = table(
        ["accuracy, %", *(_PARTS.get(part, part) for part in parts)],
        [
            ["samples", *(f"{counts[part]:,}" for part in parts)],
            ["most frequent class", *(number(baselines[part]) for part in parts)],
            *([stage, *(number(found[part]) for part in parts)] for stage, found in accuracy.items()),
        ],
    )
    missing = [_PARTS.get(part, part) for part in counts if part not in baselines]
    return lines + [f"no {name} part" for name in missing]


def doubts(
    accuracy: Mapping[str, Mapping[str, float]],
    baselines: Mapping[str, float],
    by_scale: Mapping[str, float],
    source: str,
) -> list[str]:
    """What looks wrong about a network that was trained elsewhere, with what to do.

    Args:
        accuracy: in percent, by stage and part.
        baselines: of always answering the most frequent class, by part.
        by_scale: accuracy on training samples for other scalings of bytes.
        source: name of the data.
    """
    stages = list(accuracy.values())
    first, last, chance = stages[0]["train"], stages[-1]["train"], baselines["train"]
    better = max(by_scale, key=by_scale.__getitem__, default=None)
    if better is not None and by_scale[better] > first + BETTER_SCALE:
        remedy = (
            f"{source},scale={better}"
            if ":" in source
            else "data from a function of yours (module:function), scaled so"
        )
        return [
            f"WARNING: the network as it came answers {first:.1f} % of its training samples correctly, but "
            f"{by_scale[better]:.1f} % of them with bytes scaled to {better}. Expected {remedy}."
        ]
    if is_near_chance(first, chance):
        return [
            f"WARNING: the network as it came answers {first:.1f} % of its training samples correctly, and always "
            f"answering the most frequent class {chance:.1f} %. Inputs may be scaled otherwise than in "
            "training (`obliq data SOURCE` prints how), classes may be in another order, or the weights may belong to "
            "other data."
        ]
    if first - last > LARGE_LOSS:
        return [
            f"WARNING: quantization costs {first - last:.1f} points of accuracy on training samples; more --bits or "
            "--fine-tune EPOCHS keep more."
        ]
    return []
