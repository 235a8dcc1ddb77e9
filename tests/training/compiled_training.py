"""A program of its own for `test_compiled.py`: the shape checks of the tests are in the way of tracing."""

import json
import sys
from functools import partial

import torch

from obliq.data import PartitionRule, partition
from obliq.errors import ModelError
from obliq.models import initialise
from obliq.quantization import quantize
from obliq.run import Run
from obliq.training.compilation import forward_function
from obliq.training.loop import Recipe, fit
from tests.conftest import SmallNet, make_collection


def broken(graph: object, inputs: object) -> object:
    raise RuntimeError("no compiler\nanywhere")


def main() -> None:
    torch.set_num_threads(1)
    compile_ = torch.compile
    parts = partition(make_collection(), PartitionRule(seed=1, holdout=0.2, test=0.2))
    model = quantize(SmallNet(), "W4A4")
    initialise(model, 0)
    recipe = Recipe(epochs=2, learning_rate=0.01, batch_size=64)
    plain = fit(model, parts.train, recipe, Run())
    torch.compile = partial(compile_, backend="aot_eager")
    compiled = fit(model, parts.train, recipe, Run(compile=True))
    moved, apart = 0.0, 0.0
    for name, value in plain.named_parameters():
        if name in dict(model.named_parameters()) and not name.endswith("step"):
            moved += float((value - model.get_parameter(name)).square().sum())
            apart += float((value - compiled.get_parameter(name)).square().sum())
    torch.compile = partial(compile_, backend=broken)
    try:
        forward_function(plain, Run(compile=True), 4)(torch.zeros(4, 1, 6, 6))
        error = ""
    except ModelError as caught:
        error = str(caught)
    found = {
        "types": [f"{type(one).__module__}.{type(one).__name__}" for one in (plain, compiled)],
        "same_names": list(plain.state_dict()) == list(compiled.state_dict()),
        "moved": moved,
        "apart": apart,
        "error": error,
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
