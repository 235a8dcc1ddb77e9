"""Networks that have learned next to nothing are named."""

import pytest

from obliq.workflow.baseline import accuracy_in_words


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        (
            {"training": 99.0, "test": 10.0, "most frequent class": 10.0},
            "nothing that a constant answer does not",
        ),
        ({"training": 11.0, "test": 18.9, "most frequent class": 10.0}, "learned next to nothing"),
        ({"training": 18.9, "most frequent class": 10.0}, "learned next to nothing"),
        ({"training": 11.0, "test": 19.1, "most frequent class": 10.0}, ""),
        ({"training": 11.0}, ""),
    ],
)
def test_a_network_near_chance_is_a_warning(accuracies: dict[str, float], words: str) -> None:
    found = accuracy_in_words(accuracies)
    assert len(found) == 1 + bool(words)
    assert f"{accuracies['training']:.1f} % on training samples" in found[0]
    assert words in found[-1]
