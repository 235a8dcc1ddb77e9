"""Requests: their text forms, what they choose, and one clear line for each mistake."""

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from obliq.data import Collection, Partition, PartitionRule, load_dataset, parse_selector, partition, select
from obliq.data.selection import in_words
from obliq.data.selectors import Classes, Listed, RandomCount, RandomShare, Subjects, escaped
from obliq.errors import DataError


@pytest.fixture(scope="module")
def digits() -> Partition:
    return partition(load_dataset("digits"), PartitionRule())


@pytest.fixture(scope="module")
def anonymous() -> Partition:
    collection = Collection("anonymous", torch.rand(50, 2), torch.arange(50) % 3)
    return partition(collection, PartitionRule())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("class=3", Classes(("3",))),
        ("class=3,5", Classes(("3", "5"))),
        ("class=cat", Classes(("cat",))),
        ("subject=7", Subjects(("7",))),
        ("subject=Ann,12", Subjects(("Ann", "12"))),
        ("subject=Müller\\, Anna,Ann", Subjects(("Müller, Anna", "Ann"))),
        (r"subject=b\\,c", Subjects(("b\\", "c"))),
        (r"class=a\,b\\c", Classes(("a,b\\c",))),
        ("random=10%", RandomShare(10.0)),
        ("random=0.5%", RandomShare(0.5)),
        ("random=600", RandomCount(600)),
        ("ids=people/seven.txt", Listed(Path("people/seven.txt"))),
        ("ids=a=b.txt", Listed(Path("a=b.txt"))),
    ],
)
def test_texts_round_trip(text: str, meant: object) -> None:
    assert parse_selector(text) == meant
    assert str(parse_selector(text)) == text


def test_spaces_and_repetition_do_not_matter() -> None:
    assert parse_selector(" class = 3, 5,3 ") == Classes(("3", "5"))


@given(st.floats(0, 100, exclude_min=True, exclude_max=True))
def test_every_share_round_trips(percent: float) -> None:
    assert parse_selector(str(RandomShare(percent))) == RandomShare(percent)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "class",
        "class=",
        "class=3,",
        "subject=",
        "random=",
        "random=ten%",
        "random=-5",
        "random=1.5",
        "random=nan%",
        "random=0",
        "random=0%",
        "random=100%",
        "random=250%",
        "random=-1%",
        "ids=",
        "id=4",
    ],
)
def test_unreadable_texts_are_refused(text: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_selector(text)
    assert text in str(caught.value)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_classes_and_subjects_are_complete_within_training(digits: Partition) -> None:
    ids = select(parse_selector("class=3,5"), digits, seed=0)
    expected = [i for i in digits.train.indices.tolist() if int(digits.collection.labels[i]) in (3, 5)]
    assert ids.tolist() == expected
    form = int(digits.collection.subjects[digits.train.indices[0]])
    ids = select(parse_selector(f"subject={form}"), digits, seed=0)
    assert ids.tolist() == (digits.collection.subjects == form).nonzero().flatten().tolist()


def test_random_is_decided_by_its_seed_alone(digits: Partition) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = select(parse_selector("random=10%"), digits, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(one, select(parse_selector("random=10%"), digits, seed=1))
    assert not torch.equal(one, select(parse_selector("random=10%"), digits, seed=2))
    assert len(one) == round(0.1 * len(digits.train))
    assert len(torch.unique(one)) == len(one)
    assert bool(torch.isin(one, digits.train.indices).all())
    assert len(select(parse_selector("random=7"), digits, seed=1)) == 7
    assert len(select(parse_selector("random=0.0001%"), digits, seed=1)) == 1


def test_ids_from_a_file(digits: Partition, tmp_path: Path) -> None:
    a, b, c = digits.train.indices[[8, 2, 5]].tolist()
    file = tmp_path / "ids.txt"
    file.write_text(f"# withdrew consent\n{a}\n\n  {b}  # by letter\n{c}\n", encoding="utf-8")
    assert select(parse_selector(f"ids={file}"), digits, seed=0).tolist() == sorted([a, b, c])


def test_unknown_classes_and_people(digits: Partition, anonymous: Partition) -> None:
    def said(text: str, where: Partition) -> str:
        with pytest.raises(DataError) as caught:
            select(parse_selector(text), where, seed=0)
        return str(caught.value)

    for name in ("10", "x", "-1", "1_0", "99999999999999999999999"):
        text = f"no class {name}; expected 0 to 9 (digits has 10 classes)"
        assert text in said(f"class={name}", digits)
    assert "no subject 14; expected one of the 14 subjects of digits (0 to 13)" in said("subject=14", digits)
    assert "anonymous records no subjects" in said("subject=1", anonymous)
    for name, part in (("holdout", digits.holdout), ("test", digits.test)):
        form = int(digits.collection.subjects[part.indices[0]])
        assert f"never trained on, being in the {name} part" in said(f"subject={form}", digits)
    assert "expected some to be retained" in said(f"random={len(digits.train)}", digits)


def test_a_subject_left_out_by_the_limit_is_told_so() -> None:
    limited = partition(load_dataset("digits"), PartitionRule(limit=300))
    used = torch.cat([part.indices for part in (limited.train, limited.holdout, limited.test)])
    owners = limited.collection.subjects
    left = next(form for form in range(14) if not bool((owners[used] == form).any()))
    with pytest.raises(DataError, match="outside the limited training part"):
        select(parse_selector(f"subject={left}"), limited, seed=0)


def test_a_class_without_training_samples_is_told_so() -> None:
    collection = Collection("gap", torch.rand(40, 2), torch.arange(40) % 2, class_names=("a", "b", "never"))
    with pytest.raises(DataError, match="class 2 was never trained on"):
        select(parse_selector("class=2"), partition(collection, PartitionRule()), seed=0)


def test_mistakes_in_a_file_of_ids_name_their_line(digits: Partition, tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    good, outside, held = (int(part.indices[0]) for part in (digits.train, digits.test, digits.holdout))
    for content, expected in (
        (f"{good}\nseven\n", "line 2: 'seven' is not an id"),
        ("-3\n", "line 1: '-3' is not an id"),
        (f"{good}\n\n{good}\n", f"line 3: id {good} is in line 1 already"),
        (
            f"{good}\n{outside}\n",
            f"1 of 2 ids were never trained on: 1 in the test part (line 2: {outside});",
        ),
        (
            f"{held}\n999999\n{outside}\n",
            f"3 of 3 ids were never trained on: 1 in the holdout part (line 1: {held});"
            f" 1 not in the data (line 2: 999999); 1 in the test part (line 3: {outside}); expected ids of the "
            "training part (ids are 0 to 1796)",
        ),
        ("# nobody\n", "no ids in it"),
    ):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(DataError) as caught:
            select(Listed(file), digits, seed=0)
        assert str(file) in str(caught.value)
        assert expected in str(caught.value)


def test_files_that_cannot_be_read(
    digits: Partition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="cannot read the ids"):
        select(Listed(tmp_path / "none.txt"), digits, seed=0)
    with pytest.raises(DataError, match="cannot read the ids"):
        select(Listed(tmp_path), digits, seed=0)
    file = tmp_path / "binary"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file"):
        select(Listed(file), digits, seed=0)
    monkeypatch.setattr("obliq.data.listed_ids._LARGEST_FILE", 2)
    with pytest.raises(DataError, match="3 bytes; expected at most 2"):
        select(Listed(file), digits, seed=0)


def test_a_request_in_words() -> None:
    collection = Collection(
        "named",
        torch.rand(60, 2),
        torch.arange(60) % 3,
        subjects=torch.arange(60) // 20 - 1,
        class_names=("cat", "dog", "eel"),
        subject_names=("ann", "bob"),
    )
    parts = partition(collection, PartitionRule())

    def words(text: str) -> str:
        selector = parse_selector(text)
        return in_words(
            selector, parts.train.where(torch.isin(parts.train.indices, select(selector, parts, 0)))
        )

    cats = int((parts.train.labels == 0).sum())
    eels = int((parts.train.labels == 2).sum())
    assert words("class=cat") == words("class=0") == f"class 'cat' ({cats} samples)"
    assert words("class=2,cat") == f"classes 'cat' ({cats} samples), 'eel' ({eels})"
    assert words("random=1") == "1 sample drawn at random"
    person = parts.train.collection.subject_name(int(collection.subjects[parts.train.indices].max()))
    count = int((collection.subjects[parts.train.indices] == int(person == "bob")).sum())
    assert words(f"subject={person}") == f"subject '{person}' ({count} samples)"


def test_every_name_that_data_may_have_can_be_requested() -> None:
    names = ("Müller, Anna", " lead", "plain", "trail ", "DOM\\ann", "end\\", "ü + class=1", "a \\+ ids=b")
    people = Collection("people", torch.rand(16, 2), torch.arange(16) % 2, subjects=torch.arange(16) % 8)
    parts = partition(dataclasses.replace(people, subject_names=names), PartitionRule(holdout=0.0, test=0.0))
    for number, name in enumerate(names):
        found = select(parse_selector(f"subject={escaped(name)}"), parts, 0)
        assert set(people.subjects[found].tolist()) == {number}  # type: ignore[index]
        joined = parse_selector(f"subject={escaped(name)} + random=1")
        assert str(joined) == f"subject={escaped(name.strip())} + random=1"
    with pytest.raises(DataError, match=r"'Müller\\, Anna',  lead, plain, trail , "):
        select(parse_selector("subject=Müller, Anna"), parts, 0)


def test_a_name_that_differs_by_outer_spaces_alone_is_refused() -> None:
    people = Collection("people", torch.rand(4, 2), torch.arange(4) % 2, subjects=torch.arange(4) % 2)
    alike = dataclasses.replace(people, subject_names=("a", " a"))
    parts = partition(alike, PartitionRule(holdout=0.0, test=0.0))
    with pytest.raises(DataError, match="'a' is the name of more than one"):
        select(parse_selector("subject= a"), parts, 0)
