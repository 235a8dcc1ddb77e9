import pytest
import torch

from obliq.data import Examples, memorised
from obliq.errors import DataError
from tests.conftest import make_collection


@pytest.fixture
def train() -> Examples:
    return Examples(make_collection(120), torch.arange(10, 110))


def test_groups_are_those_of_the_lowest_the_middle_and_the_highest_scores(train: Examples) -> None:
    scores = torch.linspace(0, 1, 100, dtype=torch.float64)
    assert memorised(train, scores, "low").tolist() == list(range(10, 20))
    assert memorised(train, scores, "high").tolist() == list(range(100, 110))
    assert memorised(train, scores, "medium").tolist() == list(range(55, 65))


def test_scores_are_of_samples_in_whatever_order(train: Examples) -> None:
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    shuffled = Examples(train.collection, train.indices[order])
    scores = torch.rand(100, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for level in ("low", "medium", "high"):
        assert torch.equal(memorised(shuffled, scores[order], level), memorised(train, scores, level))


@pytest.mark.parametrize("share", [0.1, 1 / 3])
def test_groups_are_disjoint_even_with_little_memorisation(train: Examples, share: float) -> None:
    little = 0.2 * torch.rand(100, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).pow(4)
    for scores in (little, torch.zeros(100, dtype=torch.float64)):
        groups = [memorised(train, scores, level, share) for level in ("low", "medium", "high")]
        assert [len(group) for group in groups] == [round(share * 100)] * 3
        assert len(torch.unique(torch.cat(groups))) == 3 * round(share * 100)
        assert torch.isin(torch.cat(groups), train.indices).all()


def test_disagreement_is_not_little_memorisation(train: Examples) -> None:
    scores = torch.linspace(0, 1, 100, dtype=torch.float64)
    scores[:5] = -0.6
    assert memorised(train, scores, "low").tolist() == list(range(15, 25))


def test_what_cannot_be_chosen_is_refused(train: Examples) -> None:
    scores = torch.zeros(100, dtype=torch.float64)
    for given, level, share, says in (
        (scores, "much", 0.1, "memorised=much"),
        (scores[:99], "low", 0.1, "99 memorisation scores for 100 samples"),
        (scores, "low", 0.4, "a share of 0.4"),
        (scores, "low", 0.001, "at least one sample"),
        (scores, "low", float("nan"), "a share of nan"),
    ):
        with pytest.raises(DataError, match=says):
            memorised(train, given, level, share)
