"""What the command line states about an exported file, since a file records neither its data nor their division."""

from pathlib import Path

import torch

from obliq.checkpoints import Provenance
from obliq.cli.options import DataOptions, DivisionOptions
from obliq.data import Partition, PartitionRule
from obliq.data.named_parts import PartWords, load_parts
from obliq.errors import DataError
from obliq.exporting import SUFFIXES, ExportedFile, open_exported


def is_exported_file(path: Path) -> bool:
    """Whether a path is meant as an exported file."""
    return path.suffix in SUFFIXES and not path.is_dir()


def open_exported_file(file: Path, runtime: str) -> ExportedFile:
    """Open an exported file in a runtime, with as many threads as torch uses.

    Raises:
        ModelError: naming the file and what is wrong with it.
    """
    return open_exported(file, runtime, threads=torch.get_num_threads())


def stated_data(file: Path, options: DataOptions) -> str:
    """The data set that a file was trained on, as the command line states it.

    Raises:
        DataError: when it does not.
    """
    if options.data is None:
        raise DataError(
            f"{file} does not record its training data; expected --data and, where they differ from the defaults, "
            "--division-seed, --trained-on, --holdout, --test and --limit as at training"
        )
    return options.data


def load_partition(data: str, folder: Path | None, division: DivisionOptions) -> Partition:
    """Load the data of a file and divide them as the command line states.

    Raises:
        DataError: when there is no such data set, or it cannot be divided so.
    """
    words = PartWords(
        trained_on=division.trained_on,
        holdout=division.holdout,
        test=division.test,
        seed=division.division_seed,
        limit=division.limit,
    )
    return load_parts(data, folder, words)


def require_recorded_division(file: Path, recorded: Provenance | None, parts: Partition) -> None:
    """Raise where the record next to a file names other data, or another division of them, than the command line.

    Raises:
        DataError: with the options that were recorded.
    """
    if recorded is None or recorded.partition_digest == parts.digest:
        return
    counts = ", ".join(f"{count:,} {role}" for role, count in recorded.counts.items() if role != "retain")
    raise DataError(
        f"the data or their division are not those that {file} was trained on (digest {parts.digest[:12]}..., "
        f"recorded: {recorded.partition_digest[:12]}...); expected {recorded.data}{f' ({counts})' if counts else ''}, "
        f"divided with {_rule_in_words(recorded.rule)}"
    )


def _rule_in_words(rule: PartitionRule) -> str:
    """The options that state a rule; samples that were named are not repeated."""
    named = "WHAT"
    words = {
        "division-seed": rule.seed,
        "limit": rule.limit,
        "trained-on": named if rule.train is not None else None,
        "holdout": rule.holdout if isinstance(rule.holdout, float | int) else named,
        "test": rule.test if isinstance(rule.test, float | int) else named,
    }
    text = " ".join(f"--{name} {value}" for name, value in words.items() if value is not None)
    meaning = " (WHAT: as at training, such as ids=FILE or subject=7)" if named in words.values() else ""
    return f"{text}{meaning}"


def refuse_division(folder: Path, division: DivisionOptions) -> None:
    """Raise for options that only files need.

    Raises:
        DataError: when the division is stated for a folder, which records it.
    """
    if division != DivisionOptions():
        raise DataError(
            f"{folder} is a folder, which records how its data were divided; expected no --division-seed, "
            "--trained-on, --holdout, --test or --limit"
        )


def division_words(division: DivisionOptions) -> list[str]:
    """The options of a division, without those that have their default."""
    usual = vars(DivisionOptions())
    return [
        word
        for name, value in vars(division).items()
        if value != usual[name]
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
