"""A request and the network that answers it cannot be exchanged unnoticed by somebody without the key."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from obliq.checkpoints import Provenance, save_checkpoint
from obliq.checkpoints.folder import DOCUMENT_FILE
from obliq.checkpoints.request_tag import TAG_FILE, RequestTag, bind_request, require_bound
from obliq.data.request_file import REQUEST_FILE, Request, save_request
from obliq.errors import ModelError, ObliqError
from obliq.io.ownership import require_written_by_us
from tests.patch.networks import saved_pair

KEY, OTHER = bytes(32), bytes(range(32))
REQUEST = Request(selector="subject=7", ids=(1, 5, 8), salt="ab" * 32, digest="cd" * 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved = saved_pair()[1]
    provenance: Provenance = replace(saved.provenance, splits_digest=REQUEST.digest)
    made = tmp_path / "network"
    save_checkpoint(made, replace(saved, provenance=provenance))
    bind_request(made, REQUEST, KEY)
    return made


def test_what_was_bound_is_accepted_and_the_folder_stays_ours(folder: Path) -> None:
    require_bound(folder, REQUEST, KEY)
    require_written_by_us(folder)
    assert KEY.hex() not in (folder / TAG_FILE).read_text()


def test_a_tag_has_a_form_of_its_own(folder: Path) -> None:
    with pytest.raises(ObliqError, match="expected 64 hexadecimal digits"):
        RequestTag("00")
    assert repr(RequestTag("ab" * 32)) == "RequestTag()"
    assert json.loads((folder / TAG_FILE).read_text())["version"] == 1
    stated = folder / DOCUMENT_FILE
    stated.write_bytes(stated.read_bytes() + b" " * (8 * 2**20 - stated.stat().st_size))
    bind_request(folder, REQUEST, KEY)
    require_bound(folder, REQUEST, KEY)
    stated.write_bytes(stated.read_bytes() + b" ")
    with pytest.raises(ModelError, match="8,388,609 bytes; expected at most 8,388,608"):
        require_bound(folder, REQUEST, KEY)


def _other_network(folder: Path) -> None:
    document = json.loads((folder / DOCUMENT_FILE).read_text())
    document["weights_digest"] = "0" * 64
    (folder / DOCUMENT_FILE).write_text(json.dumps(document))


def _other_request(folder: Path) -> None:
    save_request(folder / REQUEST_FILE, replace(REQUEST, ids=(2, 5, 8)))


@pytest.mark.parametrize(
    "exchange",
    [_other_network, _other_request, lambda folder: (folder / TAG_FILE).unlink()],
    ids=["network", "ids", "no tag"],
)
def test_what_was_exchanged_is_refused(exchange: Callable[[Path], object], folder: Path) -> None:
    exchange(folder)
    with pytest.raises(ModelError, match="not authenticated"):
        require_bound(folder, REQUEST, KEY)


@pytest.mark.parametrize(
    ("request_", "key"),
    [(REQUEST, OTHER), (replace(REQUEST, ids=(1, 5, 9)), KEY), (replace(REQUEST, digest="0" * 64), KEY)],
    ids=["key", "ids", "digest"],
)
def test_another_key_or_request_is_refused(request_: Request, key: bytes, folder: Path) -> None:
    with pytest.raises(ModelError, match="another key, another request or another network"):
        require_bound(folder, request_, key)


def test_a_tag_of_anything_else_is_refused(folder: Path) -> None:
    for text in ("", "{}", '{"format": "obliq-request-tag", "version": 1, "tag": "x"}'):
        (folder / TAG_FILE).write_text(text)
        with pytest.raises(ObliqError):
            require_bound(folder, REQUEST, KEY)
    shutil.rmtree(folder)
    with pytest.raises(ObliqError):
        require_bound(folder, REQUEST, KEY)
