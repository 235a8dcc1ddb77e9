"""A training that goes on where a killed process left it, and ends with the same integers as an uninterrupted one.

Between two epochs everything that decides the rest is in four places: the network, the optimiser's momentum, the
generator that orders and changes samples, and torch's own generator, which dropout uses. They are written into one
safetensors file, which ends with its HMAC-SHA-256 (32 bytes). Its name is an HMAC of everything that the training
starts from, so a file is only ever read by the training that wrote it. Both are keyed: what a training starts from
includes which samples remain, and anyone with the data could otherwise confirm a guess.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from obliq.checkpoints.tensors import tensor_form, tensors_from_bytes, tensors_to_bytes
from obliq.data import Examples
from obliq.errors import ObliqError
from obliq.io.atomic import write_file
from obliq.io.regular_file import read_regular_file
from obliq.run import Run

SECONDS_BETWEEN = 10.0
"""How long a training goes on before its state is written again; a shorter one is repeated sooner than read."""

_LARGEST = 2**34  # bytes
_TAG_BYTES = 32


@final
@dataclass
class KeptTraining:
    """The state of one training, in memory and on the disk.

    Attributes:
        model: in training; changed in place by `resume`.
        optimizer: stochastic gradient descent over its parameters.
        generator: draws the order of samples.
        epochs: how many there will be.
        file: where the state is kept; None where it is not.
        key: of the HMAC at the end of the file.
        rows: mean `loss` and `accuracy` in percent of each epoch that is done.
    """

    model: nn.Module
    optimizer: torch.optim.SGD
    generator: torch.Generator
    epochs: int
    file: Path | None
    key: bytes = field(default=b"", repr=False)
    rows: list[dict[str, float]] = field(default_factory=list)
    _kept: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(
        cls,
        model: nn.Module,
        optimizer: torch.optim.SGD,
        generator: torch.Generator,
        examples: Examples,
        recipe: object,
        epochs: int,
        run: Run,
    ) -> "KeptTraining":
        """The state at the beginning; or after the last epoch that the same training kept in `run.trainings`.

        Args:
            model: as training begins with it.
            optimizer: without any step taken.
            generator: fresh.
            examples: what is trained on.
            recipe: how, with a `repr` that states every setting.
            epochs: of the recipe.
            run: seed, device, and the folder of kept trainings with its key.
        """
        if run.trainings is None:
            return cls(model, optimizer, generator, epochs, None)
        start = (
            f"{torch.__version__} {torch.get_num_threads()} {run.seed} {run.device} {run.autocast} {recipe!r} "
            f"{getattr(recipe, 'version', 0)}"
        )
        name = hmac.new(run.trainings.key, f"{start} {examples.collection.digest}".encode(), hashlib.sha256)
        for tensor in (examples.indices, *model.state_dict().values()):
            name.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        file = run.trainings.folder / f"{name.hexdigest()}.safetensors"
        kept = cls(model, optimizer, generator, epochs, file, run.trainings.key)
        kept._resume()
        return kept

    def keep(self, measured: dict[str, float]) -> None:
        """Note that an epoch is done, with its `loss` and `accuracy`; write the state if the last time is long ago."""
        self.rows.append(measured)
        if self.file is not None and time.monotonic() - self._kept >= SECONDS_BETWEEN:
            tensors = {name: value.contiguous() for name, value in self._tensors().items()}
            content = tensors_to_bytes(tensors)
            write_file(self.file, content + self._tag(content), overwrite=True, private=True)
            self._kept = time.monotonic()

    def _resume(self) -> None:
        """Take over the state in the file. One that is missing, cut off or altered is left: training begins again."""
        assert self.file is not None
        expected = {name: tensor_form(value) for name, value in self._tensors().items()}
        try:
            read = read_regular_file(self.file, _LARGEST)
            content, tag = read[:-_TAG_BYTES], read[-_TAG_BYTES:]
            if not hmac.compare_digest(tag, self._tag(content)):
                return
            found = tensors_from_bytes(content, expected)
            done = int(found["epochs"])
            if not 1 <= done <= self.epochs:
                return
            # tried on a generator of its own first, so that a state that is refused changes neither of the two
            torch.Generator().set_state(found["torch"])
            self.generator.set_state(found["generator"])
            torch.set_rng_state(found["torch"])
        except (ObliqError, RuntimeError):
            return
        self.model.load_state_dict(
            {name: found[f"model/{name}"] for name in self.model.state_dict()}, strict=True
        )
        for number, parameter in enumerate(self._parameters()):
            momentum = torch.empty_like(parameter).copy_(found[f"momentum/{number}"])
            self.optimizer.state[parameter]["momentum_buffer"] = momentum
        self.rows = [{"loss": loss, "accuracy": accuracy} for loss, accuracy in found["rows"][:done].tolist()]

    def _tensors(self) -> dict[str, Tensor]:
        """Everything that is kept, by name. A momentum that does not exist yet acts as one of zero."""
        rows = torch.zeros(self.epochs, 2, dtype=torch.float64)
        for number, row in enumerate(self.rows):
            rows[number] = torch.tensor([row["loss"], row["accuracy"]], dtype=torch.float64)
        found = {f"model/{name}": value.detach().cpu() for name, value in self.model.state_dict().items()}
        for number, parameter in enumerate(self._parameters()):
            momentum = self.optimizer.state[parameter].get("momentum_buffer")
            found[f"momentum/{number}"] = (
                (torch.zeros_like(parameter) if momentum is None else momentum).detach().cpu()
            )
        return found | {
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "epochs": torch.tensor(len(self.rows)),
            "rows": rows,
        }

    def _tag(self, content: bytes) -> bytes:
        assert self.file is not None
        return hmac.new(self.key, self.file.name.encode() + content, hashlib.sha256).digest()

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
