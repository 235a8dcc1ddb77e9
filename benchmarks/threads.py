"""Does one seed give one network with another number of threads? And which operation is it that differs?

    python benchmarks/threads.py

Each number of threads runs in a process of its own: the passes of single layers with equal inputs, and a short
training of the 4-bit network of the demo, in several modes of PyTorch.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import obliq

TABLE = Path(__file__).parent / "results" / "threads.md"
THREADS = (1, 2, 4)
MODES = {
    "default": "the defaults of PyTorch",
    "deterministic": "`torch.use_deterministic_algorithms(True)`",
    "without oneDNN": "`torch.backends.mkldnn.enabled = False`",
    "strict": "the same, `MKL_CBWR=AVX2,STRICT` and `torch.use_deterministic_algorithms(True)`",
}
EPOCHS = 3


def digest(*values: Tensor) -> str:
    """SHA-256 over the bytes of tensors."""
    return hashlib.sha256(
        b"".join(value.detach().contiguous().numpy().tobytes() for value in values)
    ).hexdigest()[:12]


def operations() -> dict[str, str]:
    """What layers compute from equal inputs: the outputs, and the gradients of inputs and weights."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(64, 32, 8, 8, generator=draw)
    found = {}
    layers: dict[str, tuple[nn.Module, Tensor]] = {
        "convolution": (nn.Conv2d(32, 64, 3, padding=1, bias=False), images),
        "batch norm": (nn.BatchNorm2d(32), images),
        "linear": (nn.Linear(2048, 10, bias=False), images.flatten(1)),
    }
    for name, (layer, inputs) in layers.items():
        for parameter in layer.parameters():
            parameter.data = torch.randn(parameter.shape, generator=draw)
        inputs = inputs.clone().requires_grad_()
        output = layer.train()(inputs)
        output.backward(torch.randn(output.shape, generator=draw))
        gradients = [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
        assert inputs.grad is not None
        found[f"{name}: output"] = digest(output)
        found[f"{name}: gradient of inputs"] = digest(inputs.grad)
        found[f"{name}: gradient of weights"] = digest(*gradients)
    logits = torch.randn(4096, 10, generator=draw)
    found["cross entropy"] = digest(F.cross_entropy(logits, torch.arange(4096) % 10))
    found["sum of a million numbers"] = digest(torch.randn(1_000_000, generator=draw).sum())
    return found


def training() -> str:
    """The weights digest of a short training."""
    data = obliq.load_dataset("digits")
    train, _, _ = obliq.train_holdout_test_split(data, seed=0)
    network = obliq.create_network("convnet", data.sample_shape, data.classes, precision="W4A4", seed=0)
    recipe = obliq.Recipe(epochs=EPOCHS, learning_rate=0.02, batch_size=64)
    return obliq.weights_digest(obliq.train(network, train, recipe, seed=0))[:12]


def measure(threads: int, mode: str) -> dict[str, Any]:
    """Everything for one number of threads in one mode, in this process."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode in ("deterministic", "strict"))
    torch.backends.mkldnn.enabled = mode not in ("without oneDNN", "strict")
    return {"training": training(), **(operations() if mode == "default" else {})}


def _in_process(threads: int, mode: str) -> dict[str, Any]:
    words = [sys.executable, __file__, "--measure", str(threads), mode]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment |= {"MKL_CBWR": "AVX2,STRICT"} if mode == "strict" else {}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and write the table."""
    found = {mode: [_in_process(threads, mode) for threads in THREADS] for mode in MODES}
    again = _in_process(THREADS[-1], "default")
    lines = [
        "# One seed, several numbers of threads",
        "",
        "Made by `benchmarks/threads.py`: the first digits of SHA-256 over what was computed.",
        f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}.",
        "",
        f"## Training: the demo's 4-bit network, {EPOCHS} epochs, seed 0",
        "",
        "| mode | " + " | ".join(f"threads: {number}" for number in THREADS) + " | equal |",
        "| --- |" + " --- |" * len(THREADS) + " --- |",
    ]
    for mode, words in MODES.items():
        digests = [one["training"] for one in found[mode]]
        lines.append(f"| {words} | {' | '.join(digests)} | {'yes' if len(set(digests)) == 1 else 'no'} |")
    equal = again["training"] == found["default"][-1]["training"]
    lines += [
        "",
        f"The same number of threads once more ({THREADS[-1]}) gives {'the same' if equal else 'ANOTHER'} digest.",
        "",
        "## Single operations with equal inputs, by the defaults of PyTorch",
        "",
        "| what | equal with " + ", ".join(map(str, THREADS)) + " threads |",
        "| --- | --- |",
    ]
    for name in operations():
        lines.append(f"| {name} | {'yes' if len({one[name] for one in found['default']}) == 1 else 'no'} |")
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]), sys.argv[3])))
    else:
        main()
