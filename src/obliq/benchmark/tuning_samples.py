"""The samples to tune on: none of a reported test part, and none of a person in one.

A data set without an official test part is divided for tuning only after the test parts of all reported seeds were
set aside. The holdout part stands in for the test part, as a user has no other. Samples that reported originals are
trained on, forgotten ones among them, may be trained on in tuning, too.
"""

from collections.abc import Iterable

import torch

from obliq.benchmark.cache import digest_of
from obliq.benchmark.cache_keys import Environment
from obliq.benchmark.tasks import Experiment
from obliq.data import Collection, Examples, PartitionRule, partition
from obliq.data.collection import UNKNOWN_SUBJECT
from obliq.errors import DataError
from obliq.io.strict_json import encode

LEAST_SHARE = 0.1
"""Of a data set, for tuning. Less is hardly the same problem."""


def samples_to_tune_on(collection: Collection, reported: Iterable[PartitionRule]) -> Examples:
    """The samples that are neither in a reported test part nor from a person in one.

    An official test part itself stays, as every division keeps it apart.

    Args:
        collection: a data set.
        reported: how the data are divided for the rows of a suite.

    Raises:
        DataError: where less than a tenth of the samples is left.
    """
    everything = torch.arange(len(collection))
    official = collection.test_marks
    shown = official.clone()
    for rule in () if official.any() else reported:
        shown[partition(collection, rule).test.indices] = True
    if collection.subjects is not None:
        people = torch.unique(collection.subjects[shown])
        shown = shown | torch.isin(collection.subjects, people[people != UNKNOWN_SUBJECT])
    left = ~shown & ~official
    if float(left.float().mean()) < LEAST_SHARE:
        raise DataError(
            f"the test parts of the reported seeds leave {int(left.sum())} of {len(collection)} samples of "
            f"{collection.name} for tuning; expected a tenth or more, from fewer seeds or a smaller test part"
        )
    return Examples(collection, everything[left | official])


def samples_digest(experiment: Experiment, environment: Environment) -> str:
    """SHA-256 of what decides the samples that tuning has: the data, and the divisions that are set aside.

    Divisions count only where test parts are drawn, as an official one is the same for every seed.
    """
    data = experiment.setup.data
    aside = () if data in environment.official_tests else experiment.apart_from
    return digest_of(
        {
            "data": environment.data[data],
            "apart_from": sorted(digest_of(encode(rule)) for rule in aside),
            "partition_version": PartitionRule.version,
        }
    )
