"""What a command reads is never replaced by what it writes."""

from pathlib import Path

import pytest

from obliq.errors import ObliqError
from obliq.io.atomic import new_folder, refuse_existing_folder


@pytest.mark.parametrize("given", ["run", "run/network.onnx", "run/../run"])
def test_an_input_is_not_replaced(tmp_path: Path, given: str) -> None:
    with new_folder(tmp_path / "run") as draft:
        (draft / "network.onnx").write_bytes(b"weights")
    with pytest.raises(ObliqError, match=r"would replace .* which this command reads; choose another --out"):
        refuse_existing_folder(
            tmp_path / "run", overwrite=True, inputs=[tmp_path / "other", tmp_path / given]
        )
