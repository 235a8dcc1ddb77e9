"""One request from the network that must forget to the patch for devices, as the README's picture shows it.

The commands are those of the README, on Fashion-MNIST: a ConvNet at W4A4 is trained on 4,000 images and forgets a
random tenth of them by the default method with its default settings.

    python benchmarks/before_and_after.py --fashion DIR
    python benchmarks/before_and_after.py --picture  # only draw the table that is there
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import mean

TABLE = Path(__file__).parent / "results" / "before_and_after.md"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "before-and-after.svg"
SEEDS = (1, 2, 3)
COMMANDS = (
    "train fashion-mnist --data-folder DIR --arch strided-convnet --bits W4A4 --epochs 20 --learning-rate 0.1 "
    "--batch-size 64 --limit 4000 --holdout 0.03 --seed SEED --threads 1 --out original",
    "unlearn original --data-folder DIR --forget random=10% --seed SEED --threads 1 --out unlearned",
    "retrain original --data-folder DIR --forget request=unlearned/request.json --seed SEED --threads 1 "
    "--out retrained",
    "export original --form compact --out original.onnx",
    "export unlearned --form compact --out unlearned.onnx",
    "patch make original.onnx unlearned.onnx --out forget.patch --plain",
    "audit original unlearned --data-folder DIR --retrained retrained --references 4 --threads 1 --out audit --json",
)
INTRODUCTION = f"""\
# One request, before and after

`benchmarks/before_and_after.py` wrote this table for the picture of the README. Fashion-MNIST, 10 % random (400 of
4,000 images), strided ConvNet W4A4, {len(SEEDS)} seeds, nothing tuned. Each seed runs these commands:

```text
{{commands}}
```

**AUC** is the attack's, in percent: 50 is guessing, and the aim is the retrained network's value. **Right** is the
share of right answers on the forgotten images. The file is the compact ONNX file.

"""


@dataclass(frozen=True)
class Outcome:
    """One seed; the fields are the columns of the table."""

    seed: int
    auc_before: float
    auc_after: float
    auc_retrained: float
    right_before: float
    right_after: float
    right_retrained: float
    average_gap: float
    verdict: str
    patch_bytes: int
    file_bytes: int


def run_commands(seed: int, fashion: Path, folder: Path) -> None:
    """Run every command in a folder; the last one's output is kept as `audit.json`."""
    for command in COMMANDS:
        words = command.replace("SEED", str(seed)).replace("DIR", str(fashion.resolve())).split()
        output = subprocess.run(
            [sys.executable, "-m", "obliq", *words], cwd=folder, check=True, stdout=-1
        ).stdout
    (folder / "audit.json").write_bytes(output)


def outcome(seed: int, folder: Path) -> Outcome:
    """What the commands left in a folder."""
    entries = {entry["name"]: entry for entry in json.loads((folder / "audit.json").read_text())["entries"]}
    before, after, retrained = (entries[name] for name in ("original", "unlearned", "retrained"))
    auc, right = "auc_forget_vs_test", "forget_accuracy"
    return Outcome(
        seed=seed,
        auc_before=before[auc],
        auc_after=after[auc],
        auc_retrained=retrained[auc],
        right_before=before[right],
        right_after=after[right],
        right_retrained=retrained[right],
        average_gap=after["average_gap"],
        verdict=after["verdict"],
        patch_bytes=(folder / "forget.patch").stat().st_size,
        file_bytes=(folder / "original.onnx").stat().st_size,
    )


def write_table(outcomes: list[Outcome]) -> None:
    """One line a seed."""
    names = [field.name.replace("_", " ") for field in fields(Outcome)]
    rows = [
        [f"{value:.1f}" if isinstance(value, float) else str(value) for value in astuple(one)]
        for one in outcomes
    ]
    lines = [" | ".join(row) for row in [names, ["---"] * len(names), *rows]]
    commands = "\n".join(f"obliq {command}" for command in COMMANDS)
    text = INTRODUCTION.format(commands=commands) + "\n".join(f"| {line} |" for line in lines) + "\n"
    TABLE.write_text(text, encoding="utf-8")


def read_table() -> list[dict[str, str]]:
    """The lines of the table, by the names of the columns."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    names, _, *rows = [line.strip("| ").split(" | ") for line in lines]
    return [dict(zip(names, row, strict=True)) for row in rows]


WIDTH, LEFT, PER_POINT = 720, 248, 40
"""Of the drawing: its width, where a bar of 50 % ends, and the length of a point above."""


def draw() -> None:
    """Draw the means of the table: three bars, the verdict and the size of the patch."""
    rows = read_table()
    bars = [
        ("before", "before", "bad"),
        ("after", "after", "good"),
        ("retrained", "never saw them", "muted"),
    ]
    parts = [
        text(28, 50, "Are the forgotten images recognised?", "title"),
        text(28, 86, "How often an attack picks the right one of two", "muted"),
    ]
    for index, (column, label, colour) in enumerate(bars):
        value, top = mean(float(row[f"auc {column}"]) for row in rows), 110 + 58 * index
        parts += [
            text(28, top + 32, label, "label"),
            f'<rect class="{colour}" x="{LEFT}" y="{top}" width="{PER_POINT * (value - 50):.0f}" height="44"/>',
            text(LEFT + PER_POINT * (value - 50) + 12, top + 32, f"{value:.0f} %", "value"),
        ]
    verdicts = [row["verdict"] for row in rows]
    common = max(set(verdicts), key=verdicts.count)
    share = f"in {verdicts.count(common)} of {len(verdicts)} runs"
    patch, file = (mean(int(row[f"{name} bytes"]) for row in rows) / 1000 for name in ("patch", "file"))
    parts += [
        f'<line x1="{LEFT}" y1="100" x2="{LEFT}" y2="282"/>',
        text(LEFT, 312, "50 %: guessing", "muted"),
        '<line x1="28" y1="336" x2="692" y2="336"/>',
        text(28, 376, "Verdict", "muted"),
        text(28, 414, common, "value good" if common == "INDISTINGUISHABLE" else "value"),
        text(28, 450, share, "muted"),
        text(440, 376, "Patch for devices", "muted"),
        text(440, 414, f"{patch:.1f} KB", "value"),
        text(440, 450, f"instead of {file:.0f} KB", "muted"),
    ]
    description = "Before and after forgetting: the attack, the verdict, and the size of the patch"
    PICTURE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="560" height="370" viewBox="0 0 {WIDTH} 476" role="img" '
        f'aria-label="{description}">\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="476" rx="12"/>\n' + "\n".join(parts) + "\n</svg>\n",
        encoding="utf-8",
    )


STYLE = """
:root { --paper: #f6f5f1; --ink: #1c2024; --muted: #565e66; --rule: #c9c6bd; --good: #0f6b5c; --bad: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --paper: #1c2024; --ink: #e8e6e1; --muted: #a9b0b7; --rule: #4a5057; --good: #5cc8b2; --bad: #ff8a80 }
}
text { font-family: system-ui, sans-serif; font-size: 26px; fill: var(--ink) }
.title, .value { font-weight: 700; font-size: 31px }
.paper { fill: var(--paper) } .muted { fill: var(--muted) } .good { fill: var(--good) } .bad { fill: var(--bad) }
line { stroke: var(--rule); stroke-width: 2 }
"""


def text(x: float, y: float, words: str, style: str) -> str:
    """A line of text."""
    return f'<text class="{style}" x="{x:.0f}" y="{y}">{words}</text>'


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fashion", type=Path, help="folder of the Fashion-MNIST files")
    parser.add_argument("--picture", action="store_true", help="only draw the table that is there")
    given = parser.parse_args()
    if not given.picture:
        outcomes = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                run_commands(seed, given.fashion, Path(folder))
                outcomes.append(outcome(seed, Path(folder)))
        write_table(outcomes)
    draw()


if __name__ == "__main__":
    main()
