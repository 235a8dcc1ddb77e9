"""Names of one person, and case numbers that look alike."""

import pytest

from obliq.errors import RecordError
from obliq.record.lookalikes import require_new_number, require_one_alphabet, same_person


@pytest.mark.parametrize(
    "other",
    [
        "ann",
        "  ANN ",
        "A n n",
        "Ann.",
        "\u00c0nn",
        "A\u0300nn",
        "\uff21nn",
        "Ann\u2063",
        "Ann\u115f",
        "Ann\u0332",
        "\u00e5nn",
    ],
)
def test_one_person_in_many_spellings(other: str) -> None:
    assert same_person("Ann", other)


def test_other_people() -> None:
    for one, other in (("Ann", "Anna"), ("A. Example", "B. Example"), ("\u674e", "\u738b"), ("...", "--")):
        assert not same_person(one, other)


def test_a_word_has_one_alphabet() -> None:
    require_one_alphabet(name="Ann \u0410\u043d\u043d\u0430 \u674e O'Neill-Stra\u00dfe")
    with pytest.raises(RecordError, match="mixes the alphabets cyrillic and latin in one word"):
        require_one_alphabet(name="\u0410nn")


@pytest.mark.parametrize(
    "number",
    [
        "C-1 ",
        " C-1",
        "c-1",
        "C\u20101",
        "C\u20131",
        "C-1\u115f",
        "C\u2063-1",
        "\uff23-1",
        "C-\u0661\u200b",
        "C-1\u0332",
    ],
)
def test_a_new_case_has_a_number_of_its_own(number: str) -> None:
    known = ["C-1", "DSR-2"]
    with pytest.raises(RecordError, match="case number"):
        require_new_number(number, known)


def test_numbers_that_differ() -> None:
    for number in ("C-11", "C1", "C-1-1", "D-1", "\u03a3-1", "\u6848-1"):
        require_new_number(number, ["C-1"])
