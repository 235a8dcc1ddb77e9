"""The checks of types and shapes notice what is wrong, with and without arrays in a signature."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Literal

import jaxtyping
import pytest
import torch
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from obliq.benchmark.cache import digest_of
from obliq.quantization import Precision, weight_codes
from tests.shapes import checked

decorate: Callable[[Any], Any] = jaxtyping.jaxtyped(typechecker=checked)  # as the import hook writes it


@decorate
def repeated(word: str, times: "int", joined: Literal[",", ";"] = ",") -> str:
    return joined.join([word] * times) if times else None  # type: ignore[return-value]


@decorate
def summed(one: Float[Tensor, "samples"], other: "Float[Tensor, 'samples']") -> Float[Tensor, ""]:
    return one.sum() + other.sum() if len(one) else one


@decorate
@dataclasses.dataclass
class Pair:
    name: str
    share: float


def test_what_is_right_passes() -> None:
    assert repeated("a", 2) == "a,a"
    assert Pair("a", 1) == Pair(name="a", share=1.0)  # an int is a float
    assert summed(torch.ones(2), torch.ones(2)) == 4
    assert list(inspect.signature(repeated).parameters) == ["word", "times", "joined"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: repeated(1, 2),
        lambda: repeated("a", 2, ":"),
        lambda: repeated("a", 0),  # the result
        lambda: Pair("a", "b"),  # type: ignore[arg-type]
        lambda: summed(torch.ones(2), torch.ones(3)),
        lambda: summed(torch.ones(2, 2), torch.ones(2)),
        lambda: summed(torch.ones(2), torch.ones(2).int()),
        lambda: summed(torch.ones(0), torch.ones(0)),  # the result
        lambda: weight_codes("no layer"),  # type: ignore[arg-type]
        lambda: digest_of("no mapping"),  # type: ignore[arg-type]
        lambda: Precision("no number", 4),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_is_noticed(wrong: Callable[[], object]) -> None:
    with pytest.raises(TypeCheckError):
        wrong()


@pytest.mark.usefixtures("without_type_checks")
def test_checks_can_be_switched_off() -> None:
    assert repeated("a", 0) is None
    assert Pair("a", "b").share == "b"  # type: ignore[arg-type,comparison-overlap]
