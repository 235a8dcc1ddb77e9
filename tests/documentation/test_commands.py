"""Every command on every page is run in its order and prints what the page shows; or a reason is given."""

import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch

from obliq.cli import main
from obliq.cli.parsing import ParsedWords, parse
from tests.documentation.pages import DOCS, PAGES, ROOT, blocks, commands, console_lines, inline_commands

ALONE = ("getting-started", "benchmark", "record-page")
"""Pages that begin with nothing."""
FOLLOWING = (
    "methods",
    "export",
    "privacy-officer",
    "record-of-requests",
    "patch-format",
    "repeated-requests",
)
"""Pages that go on with the files of the edge engineer's page."""
SHORTER = {
    "--epochs 40": "--epochs 10",
    "--epochs 5": "--epochs 1",
    "--references 4": "--references 2",
    "record init runs/original": "record init runs/original --references 2",
    '"convnet", recipe=Recipe(epochs=10)': '"convnet", recipe=Recipe(epochs=1)',
    "seeds=(1, 2)": "seeds=(1,)",
    '(Scenario("random=10%"), Scenario("class=0"))': '(Scenario("random=10%"),)',
}
"""Less training, so that the tests are quick."""

NO_DATA = "Fashion-MNIST does not come with this repository"
NO_EXECUTORCH = "needs the extra executorch (0.6 GB); tests/exporting runs programs where it is installed"
INSTALLS = "installs packages from an index"
SERVES = "runs until it is stopped, with accounts whose passwords are typed; tests/record/server tests it"
NOT_RUN = {
    "make demo": "sets up an environment; tests/cli runs the demo",
    "make test": "runs these tests",
    "pip install -e .": INSTALLS,
    "pip install -e '.[onnx,patch]'": INSTALLS,
    "pip install '.[onnx,patch]'": INSTALLS,
    "pip install '.[serve,onnx]'": INSTALLS,
    'obliq record account record "A. Example" --role officer': SERVES,
    'obliq record account record "C. Engineer" --role engineer': SERVES,
    "obliq serve record": SERVES,
    "obliq train fashion-mnist --data-folder DIR --arch resnet20 --bits W4A4 --out runs/original": NO_DATA,
    "obliq unlearn runs/original --forget random=10% --data-folder DIR --out runs/unlearned "
    "proxy-matching": NO_DATA,
    "obliq retrain runs/original --forget request=runs/unlearned/request.json --data-folder DIR "
    "--out runs/retrained": NO_DATA,
    "obliq audit runs/original runs/unlearned --retrained runs/retrained --data-folder DIR "
    "--out runs/audit": NO_DATA,
    "obliq audit runs/original runs/second --references 4 --requests all --out runs/second-audit": "retrains four "
    "networks; tests/cli audits such a chain",
    "obliq bench fashion-small --jobs 8 --data-folder DIR --results runs/results": NO_DATA,
    "obliq bench fashion-small --resume --jobs 8 --data-folder DIR --results runs/results": NO_DATA,
    "obliq export runs/unlearned --to executorch --out unlearned.pte --check digits": NO_EXECUTORCH,
    "obliq audit runs/original runs/unlearned unlearned.pte --retrained runs/retrained "
    "--out runs/audit-of-program": NO_EXECUTORCH,
}
"""Lines that are only parsed, and why."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def edge_engineer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of somebody who followed the edge engineer's page, and all that was printed."""
    needs_extras()
    folder = tmp_path_factory.mktemp("edge-engineer")
    return folder, follow("edge-engineer", folder)


def test_the_edge_engineers_page_ends_with_a_patched_device(edge_engineer: tuple[Path, str]) -> None:
    folder, printed = edge_engineer
    assert (folder / "device.onnx").read_bytes() == (folder / "unlearned.onnx").read_bytes()
    assert not (folder / "again.onnx").exists()
    promised = re.search(r"^to network   (\w{64})$", printed, flags=re.MULTILINE)
    assert promised is not None
    assert f"patched network {promised.group(1)}\nin device.onnx" in printed


@pytest.mark.parametrize("page", ALONE)
def test_pages_that_begin_with_nothing(page: str, tmp_path: Path) -> None:
    follow(page, tmp_path)


@pytest.mark.parametrize("page", FOLLOWING)
def test_pages_that_go_on_from_the_edge_engineers(
    page: str, edge_engineer: tuple[Path, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(edge_engineer[0], tmp_path / "work")
    follow(page, folder)


def test_every_page_with_commands_is_followed() -> None:
    followed = {"edge-engineer", *ALONE, *FOLLOWING}
    assert {page.stem for page in PAGES if console_lines(page)} == followed


def test_no_reason_outlives_its_command() -> None:
    assert set(NOT_RUN) <= {line for page in PAGES for line in console_lines(page)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_within_sentences_parse(page: Path) -> None:
    for line in inline_commands(page):
        words = shlex.split(line)[1:]
        if "--help" not in words:
            assert isinstance(parse(words), ParsedWords)


@pytest.mark.parametrize("line", NOT_RUN)
def test_what_is_not_run_is_at_least_right(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "obliq":
        assert isinstance(parse(words), ParsedWords)
    if program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_continuous_integration_runs_targets_that_exist() -> None:
    hosted = (ROOT / ".github/workflows/tests.yml").read_text()
    assert ".ci/run" in hosted
    run = re.findall(r"^make (.+)$", (ROOT / ".ci/run").read_text(), flags=re.MULTILINE)
    named = {target for line in run for target in line.split()} | set(re.findall(r"test-\w+", hosted))
    assert named > {"test", "test-oldest", "test-newest"}
    assert named <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def needs_extras() -> None:
    pytest.importorskip("onnxruntime", reason="the pages export: extra onnx")
    pytest.importorskip("cryptography", reason="the pages encrypt and sign: extra patch")


def follow(page: str, folder: Path) -> str:
    """Do what a page shows, in a folder; all that was printed.

    A block of Python that imports obliq or onnxruntime is run; another one is a file that later commands name,
    `mynet.py` or that of its first line.
    """
    printed = ""
    with chdir(folder):
        for language, block in blocks(shortened((DOCS / f"{page}.md").read_text())):
            if language == "python" and ("import obliq" in block or "import onnxruntime" in block):
                with redirect_stdout(io.StringIO()):
                    exec(compile(block, f"{page}.md", "exec"), {})
            elif language == "python":
                named = re.match(r"# (\w+\.py)\n", block)
                Path(named.group(1) if named else "mynet.py").write_text(block)
            elif language == "console":
                printed += followed(block)
    return printed


def followed(block: str) -> str:
    printed = ""
    for command in commands(block):
        if lengthened(command.line) in NOT_RUN:
            continue
        refused = {"obliq: error:": 1, "obliq: not met:": 3}.get(
            command.output[: command.output.find(":", 6) + 1], 0
        )
        status, out, err = run(command.line)
        assert status == refused, (command.line, out, err)
        if command.output:
            shown = err if refused else out
            assert as_shown(command.output).fullmatch(shown.strip()), (command.line, shown)
        printed += out
    return printed


def shortened(page: str) -> str:
    """The page with less training, in commands and in Python."""
    for long, short in SHORTER.items():
        page = page.replace(long, short)
        page = page.replace(as_python(long), as_python(short))
    return page


def lengthened(line: str) -> str:
    """The line as it is on the page."""
    for long, short in SHORTER.items():
        line = line.replace(short, long)
    return line


def as_python(option: str) -> str:
    return option.removeprefix("--").replace(" ", "=")


def run(line: str) -> tuple[int, str, str]:
    """Exit status, output and errors; commands of ours run in this process."""
    if not line.startswith("obliq "):
        line = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", line)
        done = subprocess.run(line, shell=True, check=False, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(shlex.split(line)[1:])
    return status, out.getvalue(), err.getvalue()


def as_shown(output: str) -> re.Pattern[str]:
    """A pattern in which three dots stand for anything."""
    return re.compile(re.escape(output).replace(r"\.\.\.", ".*"), flags=re.DOTALL)
