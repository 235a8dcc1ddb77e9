"""The command line explains itself, and methods appear in it by being registered."""

import io
import re
import runpy
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from importlib.metadata import version
from pathlib import Path

import pytest

from obliq.cli.parse_errors import explain_unknown_words
from obliq.cli.parsing import ParsedWords, parse
from obliq.cli.verbs import GROUPS, VERBS, verb_named
from obliq.errors import ModelError
from obliq.methods import available_methods
from tests.cli.conftest import Said, Way, start

Obliq = Callable[..., Said]
OPTION = re.compile(r"^│ (--?[a-z][^ ]*)(.*)│$")


def unexplained(text: str) -> list[str]:
    """Options of a help text that are followed by nothing but their default."""
    lines = [line.rstrip() for line in text.splitlines()]
    found = []
    for number, line in enumerate(lines):
        if not (option := OPTION.match(line)):
            continue
        block = [line]
        for following in lines[number + 1 :]:
            if OPTION.match(following) or not following.startswith("│"):
                break
            block.append(following)
        words = re.sub(r"\((default: [^)]*|required)\)|--?[a-z-]+|[│{},A-Z]", " ", " ".join(block)).split()
        if len(words) < 2:
            found.append(option[1])
    return found


def test_a_missing_explanation_would_be_noticed() -> None:
    assert unexplained("│ --out DIR   (required)    │\n│ --seed INT  Decides every draw. │") == ["--out"]


@pytest.mark.parametrize("columns", [80, 120])
def test_the_verbs_in_a_line_each(columns: int, obliq: Obliq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = obliq("--help")
    assert (said.status, said.err) == (0, "")
    assert [
        verb for verb in VERBS if not re.search(rf"^  {verb} +[A-Z].{{10}}", said.out, re.MULTILINE)
    ] == []
    for option in ("-h, --help", "-V, --version", "-q, --quiet", "-v, --verbose", "--print-completion"):
        assert option in said.out
    assert max(map(len, said.out.splitlines())) <= columns
    assert "Example:" not in said.out
    assert obliq() == said


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb(verb: str, obliq: Obliq) -> None:
    said = obliq(verb, "--help")
    assert (said.status, said.err) == (0, "")
    assert unexplained(said.out) == []
    assert f"Example: obliq {verb}" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    for option in ("--json", "--quiet", "--verbose"):
        assert option in said.out
    listed = {option for option in COMPUTING if re.search(rf"{option}(?![a-z-])", said.out)}
    assert listed == COMPUTING_OF.get(verb, set())


COMPUTING = {"--seed", "--threads", "--device", "--autocast", "--compile"}
"""How a computation runs: each verb lists what it uses. A benchmark's seeds and threads are part of its suite."""
COMPUTING_OF = {
    "demo": COMPUTING - {"--compile"},
    "train": COMPUTING,
    "adopt": COMPUTING,
    "unlearn": COMPUTING - {"--compile"},
    "retrain": COMPUTING,
    "audit": COMPUTING,
    "statistics": COMPUTING - {"--compile"},
    "export": {"--threads"},
    "inputs": {"--seed"},  # that of `obliq train`, in words
    "bench": {"--device", "--autocast", "--compile"},
    "record run": COMPUTING - {"--compile"},
    "serve": {"--device", "--threads"},
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_has_the_first_line_of_each(verb: str) -> None:
    assert verb_named(verb).arguments.__doc__.splitlines()[0] == VERBS[verb]
    assert len(VERBS) == sum(map(len, GROUPS.values()))


def test_actions_of_a_verb_are_listed_after_it(obliq: Obliq) -> None:
    said = obliq("patch", "--help")
    assert (said.status, said.err) == (0, "")
    listed = re.findall(r"^  ([a-z]+ ?[a-z]*)  ", said.out, re.MULTILINE)
    assert listed == ["patch make", "patch apply", "patch info"]
    assert obliq("patch") == said


UNLEARN = ("unlearn", "x", "--forget", "class=1", "--out", "y")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("trian", "digits"), "did you mean 'train'?"),
        (("unlaern", "x"), "did you mean 'unlearn'?"),
        (("patch", "aply"), "did you mean 'patch apply'?"),
        (("path", "apply"), "did you mean 'patch'?"),
        (
            ("unlearn", "x", "--forget", "class=1", "--out", "y", "oue"),
            "there is no method 'oue'; did you mean 'oeu'?",
        ),
        (("unlearn", "x", "--forget", "class=1", "--out", "y", "finetune"), "did you mean 'fine-tune'?"),
        (("unlearn", "x", "--forget", "class=1", "--out", "y", "oeu", "--epoch", "3"), "--epochs"),
        ((*UNLEARN, "nope"), "there is no method 'nope'; the nearest are oeu, not; `obliq unlearn --help`"),
        ((*UNLEARN, "nope", "--epochs", "3"), "there is no method 'nope'; the nearest are oeu, not;"),
        (("unlearn", "x", "nope"), "there is no method 'nope'; the nearest are oeu, not;"),
        ((*UNLEARN, "PROXY_MATCHING"), "there is no method 'PROXY_MATCHING'; did you mean 'proxy-matching'?"),
        ((*UNLEARN, "--method", "nope"), "there is no method 'nope'; the nearest are oeu, not;"),
        (
            (*UNLEARN, "--method=finetune", "--epochs", "3"),
            "there is no method 'finetune'; did you mean 'fine-tune'? `obliq unlearn --help` lists all. The method "
            "comes last, by its name alone; expected `obliq unlearn x --forget class=1 --out y fine-tune --epochs 3`",
        ),
        ((*UNLEARN, "oeu", "extra"), "'extra' is no option of the method oeu; `obliq unlearn oeu --help`"),
        (
            ("retrain", "x", "--forget", "class=1", "class=2", "--out", "y"),
            "--forget takes one value, and 'class=2' is a second one; expected `obliq retrain x --forget class=1 "
            "--forget class=2 --out y`",
        ),
    ],
)
def test_what_was_meant_by_a_mistyped_word(words: tuple[str, ...], meant: str, obliq: Obliq) -> None:
    said = obliq(*words)
    assert (said.status, said.out) == (2, "")
    assert meant in " ".join(said.err.split())


@pytest.mark.parametrize("last", [("nope",), ("nope", "--epochs", "3"), ("--method", "nope")])
def test_a_terminal_shows_first_that_there_is_no_such_method(last: tuple[str, ...]) -> None:
    printed = io.StringIO(
        "\x1b[31mUnrecognized\x1b[0m\x1b[m options:\x1b[0m \x1b[1mnope\x1b[0m\x1b[1m, --epochs\x1b[0m "
    )
    said = io.StringIO()
    with pytest.raises(SystemExit, match="2"), redirect_stderr(said):
        explain_unknown_words("unlearn", verb_named("unlearn"), (*UNLEARN[1:], *last), printed)
    assert said.getvalue().startswith(
        "obliq: error: there is no method 'nope'; the nearest are oeu, not; `obliq"
    )
    assert printed.getvalue() == ""


def test_a_word_that_is_like_none(obliq: Obliq) -> None:
    said = obliq("xyzzy")
    assert (said.status, said.out) == (2, "")
    assert said.err == "obliq: error: there is no verb 'xyzzy'; `obliq --help` lists all\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_verbs_methods_and_options(shell: str, obliq: Obliq) -> None:
    said = obliq("--print-completion", shell)
    assert (said.status, said.err) == (0, "")
    for word in ("unlearn", "apply", "selective-dampening", "forget-weight"):
        assert word in said.out


def test_completion_of_an_unknown_shell(obliq: Obliq) -> None:
    said = obliq("--print-completion", "dos")
    assert (said.status, said.out) == (2, "")
    assert "expected one of bash, zsh, fish, tcsh" in said.err


@pytest.mark.parametrize("method", available_methods())
def test_a_method(method: str, obliq: Obliq) -> None:
    said = obliq("unlearn", "x", "--forget", "class=0", "--out", "y", method, "--help")
    assert (said.status, said.err) == (0, "")
    assert f"obliq unlearn {method}" in said.out
    assert unexplained(said.out) == []


def test_every_method_is_listed(obliq: Obliq) -> None:
    text = obliq("unlearn", "--help").out
    assert [method for method in available_methods() if not re.search(rf"• {method}\s", text)] == []


def test_version(obliq: Obliq) -> None:
    for option in ("--version", "-V"):
        assert obliq(option) == Said(0, f"obliq {version('obliq')}\n", "")


@pytest.mark.parametrize("words", ["-q -v --json {}", "{} -q -v --json", "-q {} -v --json"])
@pytest.mark.parametrize("verb", ["show x", "patch info x", "bench smoke"])
def test_general_options_stand_before_or_after_a_verb(words: str, verb: str) -> None:
    parsed = parse(words.format(verb).split())
    assert isinstance(parsed, ParsedWords)
    output = parsed.arguments.output
    assert (output.quiet, output.verbose, output.json) == (True, True, True)


def test_general_options_stand_between_the_words_of_a_verb() -> None:
    parsed = parse(["patch", "--json", "info", "x"])
    assert isinstance(parsed, ParsedWords)
    assert parsed.arguments.output.json


def test_python_runs_the_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["obliq", "--version"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("obliq", run_name="__main__")
    assert capsys.readouterr().out == f"obliq {version('obliq')}\n"


METHOD = '''
import copy
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class DoNothing:
    """Leave the network as it is.

    Attributes:
        patience: how long to think about it.
    """

    patience: int = 3

    def unlearn(self, model, splits, run):
        return copy.deepcopy(model)
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """What installing a package with one method leaves on the disk."""

    def written(entry: str) -> Path:
        site = tmp_path / "site"
        information = site / "obliq_patience-1.0.dist-info"
        information.mkdir(parents=True)
        (site / "obliq_patience.py").write_text(METHOD)
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: obliq-patience\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[obliq.methods]\n{entry}\n")
        monkeypatch.syspath_prepend(site)
        return site

    return written


def test_an_installed_package_adds_a_method(install: Callable[[str], Path], way: Way, tmp_path: Path) -> None:
    site = install("do-nothing = obliq_patience:DoNothing")
    words = ("unlearn", way.original, "--forget", "class=1", "--out", tmp_path / "out", "--json")
    process = start(*words, "do-nothing", "--patience", 2, environment={"PYTHONPATH": str(site)})
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert '"role": "unlearned"' in out


def test_an_installed_method_is_listed_and_explained(install: Callable[[str], Path], obliq: Obliq) -> None:
    install("do-nothing = obliq_patience:DoNothing")
    assert "do-nothing" in obliq("unlearn", "--help").out
    said = obliq("unlearn", "x", "--forget", "class=0", "--out", "y", "do-nothing", "--help")
    assert "how long to think about it" in said.out


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("oeu = obliq_patience:DoNothing", "calls itself 'oeu'; expected a free name"),
        ("do-nothing = obliq_patience:Missing", "'do-nothing'"),
        ("do-nothing = obliq_patience:copy", "expected a dataclass with an unlearn function"),
    ],
    ids=["taken name", "not there", "no method"],
)
def test_an_installed_package_that_is_wrong(
    entry: str, message: str, install: Callable[[str], Path], obliq: Obliq, way: Way, tmp_path: Path
) -> None:
    install(entry)
    words = ("unlearn", way.original, "--forget", "class=1", "--out", tmp_path / "out", "oeu")
    said = obliq(*words)
    assert said.status == 1
    assert said.err.startswith("obliq: error: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert not (tmp_path / "out").exists()


def test_the_same_error_in_python(install: Callable[[str], Path]) -> None:
    install("oeu = obliq_patience:DoNothing")
    with pytest.raises(ModelError, match="expected a free name"):
        available_methods()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--out o calibrated --epochs 2 --forgotten a", "--out o --forgotten a calibrated --epochs 2"),
        ("calibrated --out o --epochs 2", "--out o calibrated --epochs 2"),
        ("--epochs 2 --out o calibrated --rounds 1", "--out o calibrated --epochs 2 --rounds 1"),
        ("--out o --epochs 2", "--out o proxy-matching --epochs 2"),
        ("--method calibrated --epochs 2 --out o", "--out o calibrated --epochs 2"),
        ("--out o --method=calibrated", "--out o calibrated"),
        ("--out o --method calib", "--out o calibrated"),
        ("--out o --method nope", "--out o METHOD"),
    ],
)
def test_an_option_on_the_wrong_side_of_a_method_gets_the_command_in_order(
    words: str, expected: str, obliq: Obliq
) -> None:
    said = obliq("unlearn", "runs/x", "--forget", "class=1", *words.split())
    assert (said.status, said.out) == (2, "")
    assert f"expected `obliq unlearn runs/x --forget class=1 {expected}`" in " ".join(said.err.split())


def test_a_method_in_place_of_a_verb(obliq: Obliq) -> None:
    said = obliq("a-amu", "--help")
    assert said.status == 2
    assert "`obliq unlearn a-amu --help`" in said.err
