"""The report of a suite from the files of its results: report.md and report.html.

`about.json` beside the rows says what they do not: which contender follows which, tuning, machine, versions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from obliq.bench.keys import Keys
from obliq.bench.report import Background, render
from obliq.bench.results import read_rows, write_text
from obliq.bench.rows import Row
from obliq.bench.suite import Suite
from obliq.bench.world import World
from obliq.documents import LARGEST_DOCUMENT, decode, parse, read_bytes
from obliq.documents import render as as_json
from obliq.errors import ObliqError

ABOUT, MARKDOWN, PAGE = "about.json", "report.md", "report.html"


@dataclass(frozen=True, kw_only=True)
class About:
    """What a report tells besides the rows; the fields of `Background`, as they are stored."""

    follows: dict[str, str]
    trials: int | None
    tuning_seed: int | None
    tuning_bits: str | None
    facts: dict[str, str]
    tuned_in: str | None = None


def about(suite: Suite, keys: Keys, machines: Iterable[Mapping[str, str]]) -> About:
    """What there is to tell about a suite whose rows were made on these machines."""
    trials = max(len(one.trials()) for one in suite.contenders)
    tuned = trials > 1
    said = dict[str, dict[str, None]]()  # a set in the order of its values
    for name, value in (pair for machine in machines for pair in machine.items() if pair[1]):
        said.setdefault(name, {})[value] = None
    facts = {name: " or ".join(values) for name, values in said.items()}
    facts |= {"device": keys.origins.device, **keys.origins.versions}
    return About(
        follows=dict(sorted((one.name, one.follows) for one in suite.contenders if one.follows is not None)),
        trials=trials if tuned else None,
        tuning_seed=suite.tuning_seed if tuned else None,
        tuning_bits=suite.tuning_bits if tuned else None,
        facts=dict(sorted(facts.items())),
        tuned_in=None if suite.tuned_in is None or not tuned else _in_words(suite.tuned_in),
    )


def _in_words(world: World) -> str:
    images = f"{world.limit} images" if world.limit else "all images"
    return f"{world.architecture} with {images} of {world.data}"


def write(folder: Path, rows: Sequence[Row], known: About) -> None:
    """Write the report and what it rests on besides the rows.

    Raises:
        ObliqError: when there are no rows, or the folder cannot be written.
    """
    markdown, page = render(rows, folder.name, Background(**vars(known)))
    write_text(folder / ABOUT, as_json(vars(known)))
    write_text(folder / MARKDOWN, markdown)
    write_text(folder / PAGE, page)


def write_again(folder: Path) -> int:
    """Write the report from the files that are there; the number of rows.

    Raises:
        ObliqError: when the files are missing, or not as they were written.
    """
    rows, file = read_rows(folder), folder / ABOUT
    try:
        known = decode(About, parse(read_bytes(file, LARGEST_DOCUMENT)), "the file")
    except ObliqError as error:
        raise ObliqError(f"{file}: {error}") from error
    write(folder, rows, known)
    return len(rows)
