"""Code of the user's that calls `sys.exit`, and signals that arrive while such code runs."""

import sys
from pathlib import Path

import pytest
from torch import nn

from obliq.data.user_dataset import read_dataset
from obliq.errors import DataError, ModelError
from obliq.io.user_code import SystemExitError, TerminatedBySignal, exit_as_error, import_function
from obliq.models import build_model
from obliq.quantization import quantize
from obliq.workflow.reference import import_training

MODULE = """
import sys
def end(*given): sys.exit(0)
class Interrupted:
    def __init__(self, *given): raise KeyboardInterrupt
"""


class Ending(nn.Module):
    """Ends the program where an item or an output is expected."""

    def forward(self, inputs: object) -> None:
        sys.exit()

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        sys.exit(0)


def test_an_exit_of_user_code_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exiting_script.py").write_text("import sys\nsys.exit(0)")
    (tmp_path / "exiting_functions.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"called sys.exit\(0\) \(exiting_script.py, line 2"):
        import_training("exiting_script:train")
    with pytest.raises(SystemExitError, match=r"exiting_functions.py, line 3: def end"):
        import_function("exiting_functions:end")()
    with pytest.raises(ModelError, match="SystemExitError"):
        build_model("exiting_functions:end", (1, 6, 6), 3)
    with pytest.raises(DataError, match="item 0: SystemExitError"):
        read_dataset("ending", Ending())
    with pytest.raises(ModelError, match="line 28: sys"):
        quantize(Ending(), "W4A4")


def test_what_the_user_or_the_system_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "interrupted_function.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        build_model("interrupted_function:Interrupted", (1, 6, 6), 3)
    with pytest.raises(TerminatedBySignal, match="143"), exit_as_error():
        raise TerminatedBySignal(143)
