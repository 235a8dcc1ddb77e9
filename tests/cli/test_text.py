import dataclasses
import importlib
import shlex

import pytest

from obliq.cli.main import main
from obliq.cli.parsing import parse
from obliq.cli.tables import COLUMNS, fields, number, table
from obliq.cli.text import fitted, fitted_command
from obliq.cli.verbs import StageListener, VerbOutput


def test_lines_break_between_words() -> None:
    line = "  forgotten samples are recognised " * 5
    broken = fitted(line, 40)
    assert max(map(len, broken.splitlines())) <= 40
    assert broken.split() == line.split()
    assert all(part.startswith("  f") or part.startswith("  ") for part in broken.splitlines())


def test_the_value_of_a_field_continues_below_its_beginning() -> None:
    lines = fitted("average gap  " + "word " * 20, 40).splitlines()
    assert lines[0].startswith("average gap  word")
    assert all(line.startswith(" " * 13 + "word") for line in lines[1:])


def test_a_long_word_stays_whole() -> None:
    assert "x" * 90 in fitted(f"digest {'x' * 90} of the network", 80).splitlines()


def test_short_lines_and_tables_are_left_alone() -> None:
    assert fitted("a   b", 80) == "a   b"


def test_a_command_in_lines_is_one_command_for_a_shell() -> None:
    words = ["obliq", "unlearn", *(f"--option-{number} 'a value'" for number in range(8))]
    lines = fitted_command(words, 40)
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(" ".join(words))
    assert fitted_command(words, 1000) == [" ".join(words)]


def test_names_from_outside_cannot_act_on_a_terminal_or_add_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    acting = "cat\x1b[2J\n\x07\u202e\udcffunlearned: INDISTINGUISHABLE"

    def act(arguments: object, progress: StageListener) -> VerbOutput:
        progress.stage(f"auditing {acting}")
        progress.print_line(f"to forget: {acting}")
        return VerbOutput(lines=[f"class {acting}"], values={}, next_command=["show", acting])

    parsed = parse(["demo"])
    assert not isinstance(parsed, str)
    verb = dataclasses.replace(parsed.verb, action=act)
    module = importlib.import_module("obliq.cli.main")
    monkeypatch.setattr(module, "parse", lambda words: dataclasses.replace(parsed, verb=verb))
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert not set("\x1b\x07\u202e\udcff") & set(out + err)
    assert r"class cat\x1b[2J\n\x07\u202e\udcffunlearned: INDISTINGUISHABLE" in out.splitlines()
    assert not [line for line in (out + err).splitlines() if line.startswith("unlearned")]


def test_columns_are_aligned_and_a_table_fits_a_terminal() -> None:
    head = ["", *(f"measure {n}" for n in range(6))]
    rows = [[name, *["100.0"] * 6] for name in ("original", "a network with a name of many words")]
    lines = table(head, rows)
    assert max(map(len, lines)) <= COLUMNS
    assert lines[1].startswith("original  ")
    assert lines[2] == "a network with a name of many words"
    assert {line.rindex("0") for line in (lines[1], lines[3])} == {len(lines[0]) - 1}


def test_a_narrow_table_is_no_wider_than_it_must_be() -> None:
    assert table(["tensor", "bits"], [["weight", "4"]]) == ["tensor  bits", "weight     4"]


def test_fields_and_missing_numbers() -> None:
    assert fields({"a": "1", "long": "2"}) == ["a     1", "long  2"]
    assert (number(None), number(1.25, 2)) == ("-", "1.25")
