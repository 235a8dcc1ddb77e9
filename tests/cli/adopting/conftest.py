"""A network that was trained elsewhere, and one that came in and forgot a class."""

from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.cli import main
from tests.cli.adopting.elsewhere import CODE, OWN, Elsewhere, network, trained_by_hand
from tests.cli.conftest import pictures


@pytest.fixture(scope="package")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """The user's own training, without Obliq."""
    folder = tmp_path_factory.mktemp("elsewhere")
    data = pictures()
    np.savez(folder / "data.npz", **data)
    (folder / "adoptednet.py").write_text(CODE)
    inputs, labels = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        order = torch.randperm(144)
        parts = {"train": order[:90], "holdout": order[90:115], "test": order[115:]}
        model = trained_by_hand(network(), inputs[parts["train"]], labels[parts["train"]])
        kept = parts["train"][labels[parts["train"]] != 1]
        retrained = trained_by_hand(network(), inputs[kept], labels[kept])
    torch.save(model.state_dict(), folder / "weights.pt")
    torch.save(retrained.state_dict(), folder / "retrained.pt")
    accuracy = {}
    for name, part in parts.items():
        (folder / f"{name}.txt").write_text("\n".join(map(str, part.tolist())))
        right = model(inputs[part]).argmax(dim=1) == labels[part]
        accuracy[name] = round(100 * float(right.float().mean()), 2)
    assert accuracy["train"] > 95
    return Elsewhere(folder, accuracy)


@pytest.fixture(autouse=True)
def _in_the_folder(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(elsewhere.folder)


@pytest.fixture(scope="module")
def adopted(elsewhere: Elsewhere, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adopted original, and a network that forgot a class."""
    folder = tmp_path_factory.mktemp("adopted")
    with chdir(elsewhere.folder):
        words = [*elsewhere.words, *OWN, "--weights", "weights.pt", "--bits", "W4A4", "--fine-tune", "2"]
        assert main([*words, "--out", str(folder / "original")]) == 0
        forget = ["--forget", "class=1", "--threads", "1", "--out", str(folder / "unlearned")]
        assert main(["unlearn", str(folder / "original"), *OWN, *forget, "oeu", "--epochs", "1"]) == 0
    return folder
