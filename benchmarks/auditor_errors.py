"""How often the verdict of an audit is wrong: true retrainings as candidates, mixtures, and fakes of nine kinds.

    python benchmarks/auditor_errors.py --mnist DIR --fashion DIR [--keep DIR]

Digits by writers, MNIST by writers and Fashion-MNIST (a random share, a class), W4A4. Some of the rule's constants were
chosen after a look at some of these networks, as the results state; the others have a table of their own. Every network
that is retrained without a forget set is a candidate; those that it is compared with are drawn among the others. Every
fake is judged several times, with other retrained networks each time. Writes results/auditor-errors.md; about an hour
on one processor core. `--keep` keeps the answers of the networks, and reads those that are there.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from auditor_networks import SETTINGS, SettingNetworks, fakes, mixed
from obliq.auditing import RoleSignals, judge

RESULTS = Path(__file__).parent / "results" / "auditor-errors.md"
FRESH = "networks that no constant was chosen on"
RETRAINED = 8  # networks for each request
DRAWS = 5  # sets of references that a fake is judged with
MIXTURES = (0.25, 0.5, 0.75)  # shares of the original's logits in those of a retrained network
REFUSED = ("REMEMBERED", "OVER-FORGOTTEN", "DAMAGED")
WORDS = ("INDISTINGUISHABLE", *REFUSED, "NOTHING TO MEASURE", "INCONCLUSIVE")


def judged(work: SettingNetworks, count: int) -> dict[str, Counter[str]]:
    """How often each word is given, by kind of candidate, with `count` retrained networks."""
    found: dict[str, Counter[str]] = {}
    for request, splits in work.splits.items():
        retrained = [
            work.answers(
                request,
                f"{request}-{seed}",
                lambda seed=seed, request=request: work.trained(request, 100 + seed),
            )
            for seed in range(RETRAINED)
        ]
        classes, draw = splits.forgotten_classes, np.random.default_rng(work.setting.seed)

        def word(
            candidate: RoleSignals, original: RoleSignals, references: list[RoleSignals], classes=classes
        ) -> str:
            return judge(candidate, original, references, forgotten_classes=frozenset(classes)).word

        entries = list(fakes(work, request))
        originals = [fake for kind, fake, _ in entries if kind == "the original"]
        for place, candidate in enumerate(retrained):
            others = [one for one in retrained if one is not candidate]
            references = [others[index] for index in draw.permutation(len(others))[:count]]
            original = originals[place % len(originals)]
            found.setdefault("retrained", Counter())[word(candidate, original, references)] += 1
            for share in MIXTURES:
                kind = f"a mixture: {100 * share:.0f} % of the original's logits"
                fake = mixed(candidate, original, share)
                found.setdefault(kind, Counter())[word(fake, original, references)] += 1
        for kind, fake, original in entries:
            for _ in range(DRAWS):
                references = [retrained[index] for index in draw.permutation(len(retrained))[:count]]
                found.setdefault(kind, Counter())[word(fake, original, references)] += 1
    return found


HEAD = """# How often the verdict is wrong

Written by `benchmarks/auditor_errors.py`. Networks are W4A4 ConvNets. **Passed** means INDISTINGUISHABLE, **refused**
means REMEMBERED, OVER-FORGOTTEN or DAMAGED. The other two words are NOTHING TO MEASURE (the original already lies
within the retrained networks, so that these attacks cannot decide anything) and INCONCLUSIVE. All numbers but n are in
percent of n. Judgements of one network with other retrained networks are not independent.

The goals are: at most 5 % of true retrainings refused, at least 80 % passed, at least 95 % of each fake refused. The
rows "unlearned" are no fakes but methods with default settings and three epochs, for information, on writers only.
Mixtures, whose logits are partly a retrained network's and partly the original's, are no fakes either. They show how
much of a memory must be left for the verdict to notice it: **passed** is the share that it does not notice.

Relearning was measured on a third of the digits (seed 11). It is left out elsewhere, and for fakes that change the
answers alone, as it is for files.

Not tried are fakes that are tuned until their statistics fit, and attacks on single samples. Noise and gradient ascent
were tried at one strength each. Two choices were made on the first 104 true retrainings and their fakes (seeds 11 and
12). The probe's margin replaced its accuracy after a look at classes 2 and 5, where the accuracy left 70 % of edited
last layers undecided. And with relearning, IAM and `noise` as new statistics, the shares of the error and the expected
deviations (docs/audit-format.md) were chosen after a look at all of these. The range in which a network passes was
widened later, because 81 of 100 retrainings of seeds 13 and 14 had passed. How wide it is was chosen on seeds 11 and
12, after a look at the demo's retrained networks of seeds 0 to 29. It is the widest of four by which at most 5 % of
the mixtures with half of the original passed. Networks of seeds 13 and 14 have a table of their own.

"""


def table(found: dict[str, Counter[str]]) -> list[str]:
    """One row for each kind of candidate."""
    lines = ["| candidate | n | passed | refused | " + " | ".join(word.lower() for word in WORDS[1:]) + " |"]
    lines.append("| --- " + "| ---: " * (3 + len(WORDS[1:])) + "|")
    for kind, words in found.items():
        total = sum(words.values())
        shares = [100 * words[word] / total for word in WORDS]
        refused = 100 * sum(words[word] for word in REFUSED) / total
        cells = [f"{shares[0]:.0f}", f"{refused:.0f}", *(f"{share:.0f}" for share in shares[1:])]
        lines.append(f"| {kind} | {total} | {' | '.join(cells)} |")
    return [*lines, ""]


def main() -> None:
    """Judge every candidate with four and with seven retrained networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--fashion", type=Path, required=True)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folders = {"digits": None, "mnist": arguments.mnist, "fashion-mnist": arguments.fashion}
    with tempfile.TemporaryDirectory() as temporary:
        keep = arguments.keep or Path(temporary)
        keep.mkdir(parents=True, exist_ok=True)
        networks = [SettingNetworks(setting, folders[setting.data], keep) for setting in SETTINGS]
        text = HEAD
        for count in (4, 7):
            by_setting: dict[str, dict[str, Counter[str]]] = {}
            for work in networks:
                print(f"{count} retrained networks: {work.setting.name}", flush=True)
                for kind, words in judged(work, count).items():
                    fresh = (FRESH,) if work.setting.fresh else ()
                    for name in ("everything", *fresh, work.setting.name):
                        by_setting.setdefault(name, {}).setdefault(kind, Counter()).update(words)
            text += f"## With {count} retrained networks\n\n"
            for name, found in by_setting.items():
                text += f"### {name[0].upper()}{name[1:]}\n\n" + "\n".join(table(found)) + "\n"
            RESULTS.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
