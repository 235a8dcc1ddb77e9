"""Networks that retraining could give: the same samples are easy for all of them, and chance moves each a little."""

from collections.abc import Callable

import numpy as np
import torch

from obliq.auditing import RoleSignals, Signals

SIZES = {"forget": 120, "retain": 600, "test": 260}
Margins = dict[str, np.ndarray]


def signals(margin: np.ndarray) -> Signals:
    """Answers among two classes with these margins, exactly."""
    labels = np.arange(len(margin)) % 2
    logits = np.zeros((len(margin), 2))
    logits[np.arange(len(margin)), labels] = margin
    return Signals(torch.from_numpy(logits).float(), torch.from_numpy(labels))


def roles(margins: Margins) -> RoleSignals:
    return RoleSignals(**{role: signals(margin) for role, margin in margins.items()})


def margins(seed: int, memory: float = 0.0, sizes: dict[str, int] = SIZES) -> Margins:
    """One network's: `memory` nats more on forget samples than a network that was trained without them.

    Like real ones, networks differ by sample, by a shift of a whole set, and in their level of confidence.
    """
    easy, chance = np.random.default_rng(0), np.random.default_rng(seed + 1)
    level = chance.normal(1.0, 0.03)
    centre = {"forget": 2.5 + memory, "retain": 6.0, "test": 2.5}
    return {
        role: level
        * (centre[role] + easy.normal(0, 2.0, count) + chance.normal(0, 1.0, count) + chance.normal(0, 0.08))
        for role, count in sizes.items()
    }


def network(seed: int, memory: float = 0.0) -> RoleSignals:
    return roles(margins(seed, memory))


def changed(
    seed: int, change: Callable[[np.ndarray], np.ndarray], *, memory: float = 0.0, only: str = ""
) -> RoleSignals:
    """A network whose margins are changed in every role, or in one."""
    return roles(
        {
            role: change(margin) if only in ("", role) else margin
            for role, margin in margins(seed, memory).items()
        }
    )


ORIGINAL = network(10**6, memory=2.0)
REFERENCES = [network(10**6 + number) for number in range(1, 9)]
