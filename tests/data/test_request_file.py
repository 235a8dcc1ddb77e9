import json
import stat
from pathlib import Path

import pytest
import torch

from obliq.data import Collection, Partition, PartitionRule, partition
from obliq.data.request_file import Request, load_request, save_request
from obliq.errors import DataError, ObliqError


def divided(seed: int = 1) -> Partition:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    inputs = torch.randn(60, 1, 4, 4, generator=generator)
    return partition(Collection("toy", inputs, labels, class_names=("a", "b", "c")), PartitionRule(seed=seed))


@pytest.fixture
def request_made() -> Request:
    parts = divided()
    return Request.of(parts.forgetting(parts.train.indices[[4, 1]]), "ids=some.txt")


def test_a_request_comes_back_and_leads_to_its_splits(request_made: Request, tmp_path: Path) -> None:
    save_request(tmp_path / "request.json", request_made)
    assert load_request(tmp_path / "request.json") == request_made
    splits = request_made.splits(divided())
    assert splits.digest == request_made.digest
    assert tuple(splits.forget.indices.tolist()) == request_made.ids
    assert len(request_made.ids) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["request.json"]


def test_only_the_owner_can_read_it(request_made: Request, tmp_path: Path) -> None:
    for _ in range(2):  # also when it replaces another
        save_request(tmp_path / "request.json", request_made)
        assert stat.S_IMODE((tmp_path / "request.json").stat().st_mode) == 0o600


def test_ids_and_salt_are_not_shown_by_accident(request_made: Request) -> None:
    assert request_made.salt not in repr(request_made)
    assert "ids=(" not in repr(request_made)


def test_another_division_is_noticed(request_made: Request) -> None:
    with pytest.raises(DataError):
        request_made.splits(divided(seed=2))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "x", 'format is "x"; expected "obliq-request"'),
        ("version", 2, "which a newer Obliq wrote; expected 1"),
        ("version", "1", 'version is "1"; expected a whole number'),
        ("ids", [], "at least one"),
        ("ids", [3, 3], "each once"),
        ("ids", [5, 3], "ascending"),
        ("ids", [-1], "from 0 on"),
        ("ids", ["1"], "expected a whole number"),
        ("ids", [2**70], "expected a whole number"),
        ("salt", "xyz", "64 hexadecimal digits"),
        ("digest", None, "expected a text"),
        ("extra", 1, "unknown field 'extra'"),
    ],
)
def test_requests_that_do_not_fit(
    request_made: Request, tmp_path: Path, field: str, value: object, message: str
) -> None:
    file = tmp_path / "request.json"
    save_request(file, request_made)
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(DataError, match=message) as caught:
        load_request(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_changed_salt_is_noticed(request_made: Request) -> None:
    forged = Request(selector="class=1", ids=request_made.ids, salt="0" * 64, digest=request_made.digest)
    with pytest.raises(DataError, match="expected the data and the division it was made for"):
        forged.splits(divided())


def test_no_file_and_no_folder(request_made: Request, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        load_request(tmp_path / "request.json")
    (tmp_path / "file").touch()
    with pytest.raises(ObliqError, match="cannot write"):
        save_request(tmp_path / "file" / "request.json", request_made)
