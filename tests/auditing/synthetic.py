"""Networks that do not exist: answers with a known confidence, drawn from a seed."""

import numpy as np
import torch

from obliq.auditing import Artifact, AuditedModel, ReferenceAnswers, ReferenceSignals, RoleSignals, Signals

CLASSES = 4
PAIRS = 2
SIZES = {"forget": 400, "retain": 1500, "holdout": 300, "test": 900}


def answering(samples: int, surety: float, seed: int, spread: float = 2.0) -> Signals:
    """Answers whose true-class margin is normal around `surety`; labels go round the classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % CLASSES
    logits = 0.3 * generator.standard_normal((samples, CLASSES))
    logits[np.arange(samples), labels] += surety + spread * generator.standard_normal(samples)
    return Signals(torch.from_numpy(logits).float(), torch.from_numpy(labels))


def network(surety_forget: float, seed: int = 0, test: float = 2.0, **sizes: int) -> RoleSignals:
    """Sure by 4 about what is retained, by 2 about the unseen, by `surety_forget` about the forgotten."""
    surety = {"forget": surety_forget, "retain": 4.0, "holdout": test, "test": test}
    counts = SIZES | sizes
    return RoleSignals(
        **{
            role: answering(counts[role], surety[role], 10 * seed + number)
            for number, role in enumerate(counts)
        }
    )


def three(unlearned: float = 2.0, **sizes: int) -> list[AuditedModel]:
    """An original that remembers, one that unlearned, and a retrained one."""
    return [
        AuditedModel(
            kind="original", answers=network(4.0, 1, **sizes), seconds=40.0, weights_digest="a" * 64
        ),
        AuditedModel(
            kind="unlearned", answers=network(unlearned, 2, **sizes), seconds=5.0, changed_codes_percent=3.21
        ),
        AuditedModel(kind="retrained", answers=network(2.0, 3, **sizes), seconds=38.0),
    ]


def shipped(unlearned: float = 2.0, of: str | None = "unlearned", seed: int = 2) -> AuditedModel:
    """A file that answers as the network that unlearned does, unless another seed is given."""
    artifact = Artifact(
        file_digest="d" * 64,
        content_digest="e" * 64,
        runtime="a runtime 1.0",
        form="integer",
        precision="W4A4, weights in int8",
        network=of,
    )
    return AuditedModel(kind="unlearned", name="file", answers=network(unlearned, seed), artifact=artifact)


def random_reference_answers(samples: int, surety: float, seed: int) -> ReferenceAnswers:
    """Four networks in two pairs, of each pair one that did not see the sample."""
    generator = np.random.default_rng(seed)
    first = generator.random((PAIRS, samples)) < 0.5
    out = np.stack([first, ~first], axis=1).reshape(2 * PAIRS, samples)
    return ReferenceAnswers(margin=generator.normal(surety, 1.0, out.shape), out=out)


def references(forget: float = 2.0, test: float = 2.0, seed: int = 0) -> ReferenceSignals:
    return ReferenceSignals(
        forget=random_reference_answers(SIZES["forget"], forget, seed),
        test=random_reference_answers(SIZES["test"], test, seed + 1),
    )
