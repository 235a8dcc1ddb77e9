"""Where and how a verb computes, from its options."""

import torch

from obliq.cli.options import ComputeOptions
from obliq.errors import DataError
from obliq.run import Listener, Run, device_named

MOST_THREADS = 1024


def start_run(options: ComputeOptions, listener: Listener, *, compiled: bool = False) -> Run:
    """Set the number of threads, and describe the run.

    Raises:
        DataError: for a number of threads that is not possible.
        ObliqError: for a seed out of range, or a device that torch does not find.
    """
    use_threads(options.threads)
    return Run(
        seed=options.seed,
        device=device_named(options.device),
        autocast=options.autocast,
        compile=compiled,
        listen=listener,
    )


def use_threads(threads: int) -> None:
    """Let torch use so many threads; 0 keeps its default.

    Raises:
        DataError: for a number that is not possible.
    """
    if not 0 <= threads <= MOST_THREADS:
        raise DataError(f"threads {threads}; expected 0 (all) or 1 to {MOST_THREADS}")
    if threads:
        torch.set_num_threads(threads)
