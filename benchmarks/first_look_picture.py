"""The README's picture, drawn from the committed rows of `fashion_first_look.py`.

python benchmarks/first_look_picture.py
"""

import csv
import statistics
from pathlib import Path

from matplotlib.figure import Figure

ROWS = Path(__file__).parent / "results" / "fashion_first_look.csv"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "first_look.png"
METHODS = {
    "original": ("no unlearning", "#8a8f98"),
    "fine-tune": ("fine-tuning", "#8a8f98"),
    "oeu uniform": ("OEU, uniform", "#5b8db8"),
    "oeu entropy": ("OEU, entropy (reconstruction)", "#0b6aa8"),
    "oeu calibrated": ("OEU, calibrated (ours)", "#c2410c"),
}


def main() -> None:
    with ROWS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows))
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    axes = figure.subplots(1, len(scenarios), sharey=True)
    for ax, scenario in zip(axes, scenarios, strict=True):
        for place, (method, (label, colour)) in enumerate(METHODS.items()):
            gaps = [
                float(row["average_gap"])
                for row in rows
                if row["scenario"] == scenario and row["method"] == method
            ]
            ax.barh(place, statistics.mean(gaps), color=colour, alpha=0.85, height=0.68, label=label)
            ax.plot(gaps, [place] * len(gaps), "o", color="#1c2024", markersize=3.5)
        ax.set_title(scenario, fontsize=10)
        ax.set_xlabel("average gap to retraining, points", fontsize=8.5)
        ax.tick_params(labelsize=8.5)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlim(left=0)
    axes[0].set_yticks(range(len(METHODS)), [label for label, _ in METHODS.values()])
    axes[0].invert_yaxis()
    seeds = len({row["seed"] for row in rows})
    figure.suptitle(
        f"ConvNet W4A4, about 6,000 training images; bars: mean of {seeds} originals (dots); 0 is retraining",
        fontsize=9.5,
    )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=160, metadata={"Software": None})


if __name__ == "__main__":
    main()
