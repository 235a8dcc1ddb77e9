"""The committed results are those that today's code would recompute under the same keys."""

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from obliq.benchmark.cache_keys import Keys, Origins
from obliq.benchmark.plan import Line, cell_of, lines
from obliq.benchmark.result_files import read_cell, row_key, slug
from obliq.benchmark.suite import Suite
from obliq.benchmark.suites import SUITES, suite_named
from obliq.benchmark.tuning import FILE, Tuned, known

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
COMMITTED = sorted(name for name in SUITES if (RESULTS / name).is_dir())


def planned(suite: Suite, tuned: Tuned) -> Iterator[Line]:
    """The rows of every contender whose tuning is committed."""
    for one in suite.contenders:
        followed = tuple(other for other in suite.contenders if other.name == one.follows)
        try:
            yield from lines(dataclasses.replace(suite, contenders=(one, *followed)), tuned)
        except KeyError:  # a method that was added since
            continue


@functools.cache
def keys_of(data: str, digest: str, torch: str, device: str) -> Keys:
    """The keys on the machine that a row was computed on."""
    return Keys(Origins(data={data: digest}, torch=torch, device=device))


@pytest.mark.parametrize("name", COMMITTED)
def test_every_committed_row_is_current(name: str) -> None:
    suite = suite_named(name)
    by_place = {
        (cell_of(line.case.ground.world, line.case.scenario), line.case.ground.seed, line.name): line
        for line in planned(suite, Tuned(known(RESULTS / name / FILE, suite)))
    }
    count = 0
    for cell in {cell for cell, _, _ in by_place}:
        file = RESULTS / name / f"{slug(cell)}.json"
        document = json.loads(file.read_text())
        rows = read_cell(file)
        assert len(rows) == len(document["rows"]), f"{file.name} is of an older version"
        for one in rows:
            keys = keys_of(
                document["data"], document["data_digest"], one.machine["torch"], document["device"]
            )
            line = by_place[cell, one.row.seed, one.row.method]
            assert one.made_by == row_key(line, keys), f"{file.name}: {one.row.method}"
            count += 1
    assert count == len((RESULTS / name / "rows.csv").read_text().splitlines()) - 1
