"""Whether a computation draws random numbers, from whichever generator."""

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Draws(TorchDispatchMode):
    """Counts torch's operations whose results depend on a generator, be it a local or the global one."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


def random_draws(compute: Callable[[], object]) -> int:
    """How many of torch's operations within a computation draw random numbers."""
    with _Draws() as draws:
        compute()
    return draws.count
