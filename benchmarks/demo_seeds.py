"""The demo with twenty other seeds: how often its verdict is which.

    python benchmarks/demo_seeds.py [--first 30] [--seeds 50]

Seeds 30 to 49, as choices were made on those below. The seed decides who is in training, the weights, and every random
draw. The writer is always the demo's: number 7, or the first writer of the training set where 7 is not in it. Nothing
is exported. Beside the demo's networks, two more are judged: one by `proxy-matching` with its defaults, and one that is
retrained without the writer. What comes out for the latter is the best that can be expected. Writes
results/demo_seeds.md row by row, and goes on after the rows that are there; about a minute a seed on an idle core.
"""

import argparse
import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from obliq.auditing import Measurement, judge
from obliq.auditing.signals import RoleSignals
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Splits
from obliq.data.request_file import Request
from obliq.methods import ProxyMatching, Retrain
from obliq.run import Run
from obliq.workflow import demo
from obliq.workflow.compare_files import network_signals
from obliq.workflow.compare_runs import compare_runs
from obliq.workflow.pipeline import recipe_of, unlearn_original

RESULTS = Path(__file__).parent / "results" / "demo_seeds.md"
PARTS = {
    "Seeds 0 to 29": range(30),
    "Seeds from 30 on": range(30, 1_000_000),
}
"""Choices were made on seeds 0 to 29 alone."""
HEAD = """# The demo with many seeds

Written by `benchmarks/demo_seeds.py`: the networks of `make demo`, for each seed with other writers in training, other
weights and other draws. All ran on one processor, an AMD EPYC. AUC is that of forgotten against unseen samples; the
interval is the one in which one more retrained network would lie. The last columns are verdicts:

- **ours** is `proxy-matching` with the demo's settings: eight proxies, a share of 0.9, the training's weight decay;
- **default** is the same method with its defaults;
- **entropy** is the reconstruction of orthogonal entropy unlearning;
- **retrained** is a further network that was retrained without the writer, which is forgetting itself.

Each is compared with the same eight retrained networks. The defaults of `proxy-matching` were chosen on seeds 0 to 19,
and the demo's settings on seeds 0 to 29. The range in which a network passes was chosen on other networks, after a look
at the retrained ones of seeds 0 to 29. No setting was chosen on seeds from 30 on. The demo's settings were looked for
because the defaults had passed in 14 of these.

| seed | writer | AUC before | AUC ours | AUC retrained | gap | gap, entropy | ours | default | entropy | retrained |
| ---: | ---: | ---: | ---: | --- | ---: | ---: | --- | --- | --- | --- |
"""
JUDGED = {"Ours": 7, "Default": 8, "Entropy": 9, "Retrained": 10}  # columns of the words


def row(seed: int) -> str:
    """Run the demo's networks with a seed, and judge them and two more."""
    run = Run(seed=seed)
    parts = demo.divided(seed)
    original, splits, request, others = demo.networks(parts, run, lambda text: None)
    audit = compare_runs(original.checkpoint, others, splits, run.device)
    ours, entropy = audit.unlearned
    area = next(one for one in _verdict(ours).comparisons if one.name == "auc_forget_vs_test")
    retrained = [saved for saved in others.values() if saved.checkpoint.provenance.role == "retrained"]
    default, again = _words_on_two_more(original, retrained, splits, request, run)
    cells = [
        seed,
        request.selector.removeprefix("subject="),
        f"{area.original:.1f}",
        f"{area.value:.1f}",
        f"{area.low:.1f} to {area.high:.1f}",
        f"{ours.average_gap:.1f}",
        f"{entropy.average_gap:.1f}",
        _verdict(ours).word,
        default,
        _verdict(entropy).word,
        again,
    ]
    return f"| {' | '.join(map(str, cells))} |\n"


def _verdict(measured: Measurement):
    assert measured.verdict is not None
    return measured.verdict


def _words_on_two_more(
    original: SavedRun, retrained: Sequence[SavedRun], splits: Splits, request: Request, run: Run
) -> list[str]:
    """The verdicts on the default method and on one more retrained network."""
    again = Retrain(recipe=recipe_of(original.checkpoint.provenance))
    other_seed = dataclasses.replace(run, seed=run.seed + len(retrained) + 1)
    candidates = [
        unlearn_original(original.checkpoint, splits, request, ProxyMatching(), run),
        unlearn_original(original.checkpoint, splits, request, again, other_seed),
    ]

    def answers(saved: SavedRun) -> RoleSignals:
        return network_signals(saved.checkpoint.model, splits, run.device, relearned=True)

    before, references = answers(original), [answers(saved) for saved in retrained]
    return [judge(answers(one), before, references).word for one in candidates]


def summary(rows: dict[int, str]) -> str:
    """How often each word was given, for each part of the seeds."""
    words = {seed: [cell.strip() for cell in line.split("|")[1:-1]] for seed, line in rows.items()}
    lines = []
    for name, seeds in PARTS.items():
        if part := [cells for seed, cells in sorted(words.items()) if seed in seeds]:
            counts = [
                f"{whose}: "
                + ", ".join(
                    f"{count} {word}" for word, count in Counter(one[column] for one in part).most_common()
                )
                for whose, column in JUDGED.items()
            ]
            lines.append(f"- {name}. {'; '.join(counts)}.\n")
    return "\n" + "".join(lines)


def main() -> None:
    """Add the rows that are missing, and count the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(1)
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    rows = {
        int(found[1]): line + "\n" for line in text.splitlines() if (found := re.match(r"\| (\d+) \|", line))
    }
    for seed in range(given.first, given.seeds):
        if seed not in rows:
            rows[seed] = row(seed)
            print(rows[seed], end="", flush=True)
            lines = "".join(rows[one] for one in sorted(rows))
            RESULTS.write_text(HEAD + lines + summary(rows), encoding="utf-8")
    print(summary(rows))


if __name__ == "__main__":
    main()
