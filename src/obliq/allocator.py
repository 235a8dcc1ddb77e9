"""Memory that a pass has used stays with the process, for the next pass."""

import ctypes

TRIM_THRESHOLD, MAP_THRESHOLD, LARGEST = -1, -3, 2**30
"""Settings of glibc's mallopt: how much free memory it keeps, and from which size on it asks the system each time."""


def keep_memory() -> bool:
    """Have the C library keep what it has, where it can (glibc), and say whether it does; elsewhere nothing changes.

    Usually it gives memory back once a pass has ended, and the next pass has it mapped anew, page by page. On the
    processor that costs a training step a few percent, and orthogonal entropy unlearning, with two gradients a step,
    ten (benchmarks/results/step_cost.md). The process is never larger for it than it has been once.
    """
    try:
        allocator = ctypes.CDLL(None)
        kept = allocator.mallopt(TRIM_THRESHOLD, LARGEST), allocator.mallopt(MAP_THRESHOLD, LARGEST)
        return all(kept)
    except (AttributeError, OSError, TypeError):  # another C library; on Windows there is none by this name
        return False
