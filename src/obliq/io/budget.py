"""What reading one file may cost: memory and work, counted before they are spent.

A limit on each item of a file has no total: ten thousand harmless items, or one that is used ten thousand times, can
fill any memory. So every reader counts what it is about to allocate and to do, and the total depends on the size of the
file alone. A file that is cut off, altered or made by an attacker is then refused while it is still cheap.
"""

from dataclasses import dataclass
from typing import final

from obliq.errors import ObliqError

MEMORY_OF_ANY, MEMORY_OF_BYTE = 96 * 2**20, 32
"""Bytes that any file may take, and that each of its bytes adds: at most 400 MiB for a file of 10 MB."""

WORK_OF_ANY, WORK_OF_BYTE = 2**29, 128
"""The same for work. A unit is one element in an array operation, about a nanosecond."""

STEP = 1000
"""Work of a few operations of Python, about a microsecond."""

OBJECT = 256
"""Bytes of a small object of Python with what it refers to."""


@final
@dataclass
class Budget:
    """What one file, or several that belong together, have cost so far.

    Attributes:
        size: bytes of the file, which decide the limits.
        error: what is raised beyond them.
        memory: bytes that were counted.
        work: units that were counted.
    """

    size: int
    error: type[ObliqError] = ObliqError
    memory: int = 0
    work: int = 0

    def spend(self, what: str, *, memory: int = 0, work: int = 0) -> None:
        """Count what is about to be allocated and done.

        Args:
            what: what it is for, as the subject of a message.
            memory: bytes.
            work: see `STEP`.

        Raises:
            ObliqError: of the kind `error`, when a total would exceed what a file of this size may cost.
        """
        self.memory += memory
        self.work += work
        most = MEMORY_OF_ANY + MEMORY_OF_BYTE * self.size
        if self.memory > most:
            raise self.error(
                f"{what} would take {self.memory / 2**20:,.1f} MiB of memory; expected at most {most / 2**20:,.1f} "
                f"MiB from {self.size:,} bytes"
            )
        if self.work > WORK_OF_ANY + WORK_OF_BYTE * self.size:
            raise self.error(f"{what} would take too long; expected a file whose size explains its content")
