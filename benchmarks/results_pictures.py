"""The pictures of docs/results.md and the README, taken out of the suites' reports.

    python benchmarks/results_pictures.py

Each drawing of a report takes its colours from the page; on its own it gets the page's palette, light and
dark, so that it can be shown as an image.
"""

import re
from importlib.resources import files
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
WANTED = {
    "fashion-small": {
        "Distance to Retrain on both sides, all": "trade-off",
        "Time and Avg. Gap, all": "cost",
    },
    "writers": {"Distance to Retrain on both sides, all": "trade-off"},
    "fashion-small-ablations": {"calibrated: what each change does": "changes"},
    "writers-ablations": {"calibrated: what each change does": "changes"},
}
"""From suite and beginning of a drawing's title to the end of its file name."""


def main() -> None:
    palette = files("obliq.report").joinpath("palette.css").read_text(encoding="utf-8")
    style = f"<style>{palette} svg {{ font-family: sans-serif; background: var(--paper) }}</style>"
    for suite, wanted in WANTED.items():
        report = RESULTS / suite / "report.html"
        if not report.exists():
            print(f"{suite}: no report yet")
            continue
        drawings = re.findall(r"<svg .*?</svg>", report.read_text(encoding="utf-8"), flags=re.DOTALL)
        for beginning, name in wanted.items():
            drawing = next(one for one in drawings if f'aria-label="{beginning}' in one)
            file = IMAGES / f"{suite}-{name}.svg"
            file.write_text(drawing.replace(">", f">{style}", 1) + "\n", encoding="utf-8")
            print(file.name)


if __name__ == "__main__":
    main()
