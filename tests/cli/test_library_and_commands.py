"""The library and the commands give the same integers and the same numbers from the same seeds."""

import json
from collections.abc import Callable
from pathlib import Path

import obliq as library
from obliq.methods import OEU
from obliq.quantization import weights_digest
from tests.cli.conftest import SHORT, Said, Way

RECIPE = library.Recipe(epochs=2, batch_size=32)


def test_networks_and_audits_agree(obliq: Callable[..., Said], way: Way, tmp_path: Path) -> None:
    assert SHORT[:4] == ("--epochs", "2", "--batch-size", "32")
    data = library.load_dataset(f"npz:{way.data}")
    train, holdout, test = library.train_holdout_test_split(data, seed=0)
    forget, retain = library.forget_retain_split(train, f"subject={way.person}", seed=0)
    network = library.create_network("convnet", data.sample_shape, data.classes, precision="W4A4", seed=0)
    original = library.train(network, train, RECIPE, device="cpu", progress=False)
    sets = {"forget": forget, "retain": retain, "holdout": holdout}
    unlearned = library.unlearn(original, **sets, method=OEU(epochs=2), device="cpu", progress=False)
    retrained = library.retrain(original, retain, RECIPE, device="cpu", progress=False)
    for mine, folder in zip((original, unlearned, retrained), way.folders, strict=True):
        assert weights_digest(mine) == weights_digest(library.load_run(folder).checkpoint.model)
    command = (
        "audit",
        *way.folders[:2],
        "--retrained",
        way.retrained,
        "--threads",
        1,
        "--out",
        tmp_path / "out",
    )
    assert obliq(*command).status == 0
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    audit = library.audit(original, unlearned, retrained=retrained, **sets, test=test, device="cpu")
    for mine, theirs in zip(audit.entries, written["entries"], strict=True):
        for name in (
            "forget_accuracy",
            "retain_accuracy",
            "test_accuracy",
            "mia_svc_confidence",
            "auc_forget_vs_test",
        ):
            assert mine.values[name] == theirs[name]
        assert mine.weights_digest == theirs["weights_digest"]
        assert mine.average_gap == theirs["average_gap"]
