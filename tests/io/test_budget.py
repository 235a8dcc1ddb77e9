"""What one file may cost, to the byte."""

import pytest

from obliq.errors import DataError, ObliqError
from obliq.io.budget import MEMORY_OF_ANY, MEMORY_OF_BYTE, WORK_OF_ANY, WORK_OF_BYTE, Budget


@pytest.mark.parametrize("size", [0, 1, 10**7])
def test_totals_are_exact_and_add_up(size: int) -> None:
    memory, work = MEMORY_OF_ANY + MEMORY_OF_BYTE * size, WORK_OF_ANY + WORK_OF_BYTE * size
    budget = Budget(size)
    budget.spend("a table")
    assert (budget.memory, budget.work) == (0, 0)
    budget.spend("a table", memory=memory - 1, work=1)
    budget.spend("a table", memory=1, work=work - 1)
    assert (budget.memory, budget.work) == (memory, work)
    with pytest.raises(
        ObliqError, match=r"^a table would take too long; expected a file whose size explains"
    ):
        budget.spend("a table", work=1)
    most = f"{memory / 2**20:,.1f}"
    with pytest.raises(
        ObliqError,
        match=f"^a table would take {most} MiB of memory; expected at most {most} MiB from {size:,} bytes$",
    ):
        budget.spend("a table", memory=1)


def test_the_error_is_of_the_kind_that_the_reader_raises() -> None:
    with pytest.raises(DataError):
        Budget(0, DataError).spend("a table", memory=2**40)
