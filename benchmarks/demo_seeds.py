"""The demo with twenty other seeds: how often its verdict is which.

    python benchmarks/demo_seeds.py

Seeds 30 to 49, as choices were made on those below. The seed decides who is in training, the weights, and every random
draw. The writer is always the demo's: number 7, or the first writer of the training set where 7 is not in it. Nothing
is exported. Beside the demo's networks, two more are judged: one by `proxy-matching` with its defaults, and one that is
retrained without the writer. What comes out for the latter is the best that can be expected. Writes
results/demo_seeds.md row by row, and goes on after the rows that are there; about a minute a seed on an idle core.
"""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import torch

from obliq.auditing import AuditedModel, audit_models
from obliq.auditing.measurement import Kind
from obliq.checkpoints.run_folder import SavedRun
from obliq.methods import ProxyMatching, Retrain
from obliq.run import Run
from obliq.workflow import demo
from obliq.workflow.compare_files import network_signals
from obliq.workflow.pipeline import recipe_of, unlearn_original

RESULTS = Path(__file__).parent / "results" / "demo_seeds.md"
SEEDS = range(30, 50)
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
    original, splits, request, others = demo.networks(demo.divided(seed), run, lambda text: None)
    again = Retrain(recipe=recipe_of(original.checkpoint.provenance))
    other_seed = dataclasses.replace(run, seed=seed + demo.REFERENCES + 1)

    def audited(name: str, saved: SavedRun, kind: Kind = "unlearned") -> AuditedModel:
        answers = network_signals(saved.checkpoint.model, splits, run.device, relearned=True)
        return AuditedModel(kind=kind, name=name, answers=answers)

    audit = audit_models(
        [
            audited("original", original, "original"),
            *(audited(name, one, one.checkpoint.provenance.role) for name, one in others.items()),
            audited("default", unlearn_original(original.checkpoint, splits, request, ProxyMatching(), run)),
            audited("again", unlearn_original(original.checkpoint, splits, request, again, other_seed)),
        ],
        precision=original.checkpoint.blueprint.bits,
        exchangeable=False,
    )
    ours, entropy, default, one_more = audit.unlearned
    verdicts = [one.verdict for one in (ours, default, entropy, one_more)]
    area = next(one for one in verdicts[0].comparisons if one.name == "auc_forget_vs_test")
    cells = [
        seed,
        request.selector.removeprefix("subject="),
        f"{area.original:.1f}",
        f"{area.value:.1f}",
        f"{area.low:.1f} to {area.high:.1f}",
        f"{ours.average_gap:.1f}",
        f"{entropy.average_gap:.1f}",
        *(verdict.word for verdict in verdicts),
    ]
    return f"| {' | '.join(map(str, cells))} |\n"


def summary(rows: dict[int, str]) -> str:
    """How often each word was given."""
    words = [[cell.strip() for cell in line.split("|")[1:-1]] for line in rows.values()]
    counts = [
        f"{whose}: "
        + ", ".join(f"{count} {word}" for word, count in Counter(one[column] for one in words).most_common())
        for whose, column in JUDGED.items()
    ]
    return f"\n- {'; '.join(counts)}.\n"


def main() -> None:
    """Add the rows that are missing, and count the verdicts."""
    torch.set_num_threads(1)
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    rows = {
        int(found[1]): line + "\n" for line in text.splitlines() if (found := re.match(r"\| (\d+) \|", line))
    }
    for seed in SEEDS:
        if seed not in rows:
            rows[seed] = row(seed)
            print(rows[seed], end="", flush=True)
        lines = "".join(rows[one] for one in sorted(rows))
        RESULTS.write_text(HEAD + lines + summary(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
