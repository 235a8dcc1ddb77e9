"""The demo ends with what ships, and leaves it in its folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.io.ownership import require_written_by_us
from obliq.methods import FineTune
from obliq.training.loop import Recipe
from obliq.workflow import demo
from tests.cli.conftest import Said


def test_the_demo_leaves_what_ships(
    obliq: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="exports: extra onnx")
    monkeypatch.setattr(demo, "RECIPE", Recipe(epochs=1))
    monkeypatch.setattr(demo, "METHODS", {"unlearned": FineTune(epochs=1)})
    monkeypatch.setattr(demo, "REFERENCES", 2)
    out = tmp_path / "demo"
    said = obliq("demo", "--out", out, "--threads", 1, "--json")
    assert said.status == 0
    certificate = json.loads(said.out)["certificate"]
    file, key = out / "unlearned.onnx", out / "public.pem"
    verified = obliq("certificate", "verify", certificate, "--file", file, "--key", key)
    assert verified.status in (0, 3)  # after one epoch, the verdict may be any
    assert (out / "certificate.html").exists()
    require_written_by_us(out)  # or --overwrite would refuse
    values = json.loads(said.out)["shipped"]
    assert values["missing"] == ""
    shipment = values["shipment"]
    assert shipment["bytes"] == (out / shipment["file"]).stat().st_size
    assert shipment["patch"]["bytes"] == (out / "forget.patch").stat().st_size
    assert (out / "unlearned.onnx.parity.json").exists()
    assert shipment["content_digest"] in (out / "report.html").read_text()
