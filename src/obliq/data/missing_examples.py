"""What stands for samples that nobody gave."""

from dataclasses import dataclass

from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from obliq.data.collection import Examples
from obliq.errors import DataError


@dataclass(frozen=True, eq=False)
class MissingExamples(Examples):
    """Stands for a set that the caller left out; reading it is an error that names the argument."""

    role: str = ""

    def __len__(self) -> int:
        raise self._error()

    @property
    def labels(self) -> Int[Tensor, " samples"]:
        """Raise: there are no samples."""
        raise self._error()

    def inputs(self) -> Shaped[Tensor, "samples ..."]:
        """Raise: there are no samples."""
        raise self._error()

    def where(self, chosen: Bool[Tensor, " samples"]) -> Examples:
        """Raise: there are no samples."""
        raise self._error()

    def take(self, count: int) -> Examples:
        """Raise: there are no samples."""
        raise self._error()

    def _error(self) -> DataError:
        return DataError(
            f"no {self.role} samples were given, and this needs them; expected {self.role}=... (--{self.role} on the "
            "command line), samples of the same kind that the network was not trained on"
        )
