"""What the server of a record passes on to the work that is started from the page."""

from collections.abc import Callable
from pathlib import Path

from obliq.cli.parsing import ParsedWords, parse
from obliq.cli.serve import _run_options
from tests.cli.conftest import Said


def started_by(*words: str) -> ParsedWords:
    """The arguments of the run that a server with these options starts."""
    serving = parse(["serve", "record", *words])
    assert isinstance(serving, ParsedWords)
    run = parse(["record", "run", "record", "--by=C. Engineer", *_run_options(serving.arguments)])
    assert isinstance(run, ParsedWords)
    return run


def test_the_work_names_who_operates_the_server_and_nobody_else() -> None:
    assert started_by("--operator=-E. Officer").arguments.operator == "-E. Officer"
    assert started_by().arguments.operator == "", "never guessed"


def test_an_operator_of_several_lines_is_refused_before_the_server_starts(
    obliq: Callable[..., Said], tmp_path: Path
) -> None:
    said = obliq("serve", tmp_path, "--operator", "E.\nOfficer")
    assert said.status == 1
    assert "operator 'E.\\nOfficer' has 10 characters; expected one line" in said.err


def test_a_blank_operator_is_refused_before_work_whose_certificate_would_refuse_it(
    obliq: Callable[..., Said], tmp_path: Path
) -> None:
    said = obliq("serve", tmp_path, "--operator", " ")
    assert said.status == 1
    assert "operator ' ' has 1 characters; expected one line" in said.err
    assert "not of spaces alone" in said.err
