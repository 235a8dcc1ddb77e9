"""What every refusal of data has in common."""

import pytest

from obliq.data import load_dataset
from obliq.errors import DataError


def one_line(name: str) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert "expected" in str(caught.value)
    return str(caught.value)
