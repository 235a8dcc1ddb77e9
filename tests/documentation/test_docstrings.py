"""Every example in the docstring of a public name is run, and every function has one."""

import doctest
import inspect
from pathlib import Path

import pytest

import obliq

FUNCTIONS = [name for name in obliq.__all__ if inspect.isroutine(getattr(obliq, name))]
WITHOUT_EXAMPLE = {"available_methods", "integer_state", "load_run", "save_run", "weights_digest"}
"""Functions whose use is shown by the examples of others."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(
        inspect.getdoc(getattr(obliq, name)) or "", {}, name, None, None
    )
    assert bool(examples.examples) == (name not in WITHOUT_EXAMPLE)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    runner.run(examples, out=report.append)
    assert runner.failures == 0, "".join(report)
