"""The demo with forty seeds: how often its verdict is which.

    python benchmarks/demo_seeds.py [--seeds 40]
    python benchmarks/demo_seeds.py --references 8 --first 20 [--seeds 40]

The seed decides who is in training, the weights, and every random draw. The writer is always the demo's: number 7, or
the first writer of the training set where 7 is not in it. Nothing is exported. Writes results/demo_seeds.md for four
retrained networks and results/demo_seeds_eight.md for eight, as the demo has them, row by row, and goes on after the
rows that are there; under a minute a seed on an idle core.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

import torch

from obliq.auditing import Measurement
from obliq.run import Run
from obliq.workflow import demo
from obliq.workflow.compare_runs import compare_runs

RESULTS = Path(__file__).parent / "results"
FILES = {4: RESULTS / "demo_seeds.md", 8: RESULTS / "demo_seeds_eight.md"}
CHOSEN_ON = 20  # settings were chosen on the seeds below
HEAD = """# The demo with many seeds, {references} retrained networks

Written by `benchmarks/demo_seeds.py`: the networks of `make demo`, for each seed with other writers in training, other
weights and other draws. The defaults of `proxy-matching` were chosen on seeds 0 to 19; no choice was made on
seeds 20 to 39. AUC is that of forgotten against unseen samples; the interval is the one in which one more
retrained network would lie. **Ours** is `proxy-matching` with its defaults; **entropy** is the reconstruction of
orthogonal entropy unlearning.

| seed | writer | AUC before | AUC ours | AUC retrained | gap ours | verdict on ours | gap entropy | on entropy |
| ---: | ---: | ---: | ---: | --- | ---: | --- | ---: | --- |
"""


def row(seed: int) -> str:
    """Run the demo's networks with a seed, and judge them."""
    run = Run(seed=seed)
    parts = demo.divided(seed)
    original, splits, request, others = demo.networks(parts, run, lambda text: None)
    audit = compare_runs(original.checkpoint, others, splits, run.device)
    ours, entropy = audit.unlearned
    area = next(one for one in _verdict(ours).comparisons if one.name == "auc_forget_vs_test")
    cells = [
        seed,
        request.selector.removeprefix("subject="),
        f"{area.original:.1f}",
        f"{area.value:.1f}",
        f"{area.low:.1f} to {area.high:.1f}",
        f"{ours.average_gap:.1f}",
        _verdict(ours).word,
        f"{entropy.average_gap:.1f}",
        _verdict(entropy).word,
    ]
    return f"| {' | '.join(map(str, cells))} |\n"


def _verdict(measured: Measurement):
    assert measured.verdict is not None
    return measured.verdict


def _counted(rows: list[list[str]]) -> list[str]:
    return [
        f"{whose}: " + ", ".join(f"{count} {word}" for word, count in Counter(column).most_common())
        for whose, column in (("Ours", [row[7] for row in rows]), ("Entropy", [row[9] for row in rows]))
    ]


def main() -> None:
    """Add the rows that are missing, and count the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--references", type=int, default=4, choices=sorted(FILES))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    demo.REFERENCES = given.references
    file, head = FILES[given.references], HEAD.format(references={4: "four", 8: "eight"}[given.references])
    text = file.read_text(encoding="utf-8") if file.exists() else head
    rows = {
        int(found[1]): line + "\n" for line in text.splitlines() if (found := re.match(r"\| (\d+) \|", line))
    }
    for seed in range(given.first, given.seeds):
        if seed not in rows:
            rows[seed] = row(seed)
            print(rows[seed], end="", flush=True)
            file.write_text(head + "".join(rows[one] for one in sorted(rows)), encoding="utf-8")
    words = {seed: [cell.strip() for cell in line.split("|")] for seed, line in sorted(rows.items())}
    summary = "\n" + "".join(
        f"- {name}. {'; '.join(_counted(part))}.\n"
        for name, part in (
            ("Seeds 0 to 19", [one for seed, one in words.items() if seed < CHOSEN_ON]),
            ("Seeds from 20 on", [one for seed, one in words.items() if seed >= CHOSEN_ON]),
        )
        if part
    )
    file.write_text(head + "".join(rows[one] for one in sorted(rows)) + summary, encoding="utf-8")
    print(summary)


if __name__ == "__main__":
    main()
