"""A projected gradient does not disturb the directions that the reference remembers."""

import pytest
import torch

from obliq.gradients import RetainReference, inner_product, project_

GENERATOR = torch.Generator().manual_seed(0)


def gradient() -> list[torch.Tensor]:
    return [torch.randn(4, 5, generator=GENERATOR), torch.randn(7, generator=GENERATOR)]


def cosine(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return float(inner_product(one, other) / (inner_product(one, one) * inner_product(other, other)).sqrt())


def test_a_span_protects_every_remembered_gradient_and_forgets_older_ones() -> None:
    reference, past = RetainReference("span", 3), [gradient() for _ in range(5)]
    for one in past:
        reference.remember(one)
    changed = gradient()
    reference.project_(changed, when="always", scope="global")
    assert all(abs(cosine(changed, one)) < 1e-6 for one in past[-3:])
    assert any(abs(cosine(changed, one)) > 1e-2 for one in past[:2])


def test_a_span_of_one_is_the_ordinary_projection() -> None:
    kept, changed = gradient(), gradient()
    expected = [tensor.clone() for tensor in changed]
    project_(expected, kept, when="always", scope="global")
    for kind in ("batch", "span", "average"):
        reference = RetainReference(kind, 1)
        reference.remember(gradient())
        reference.remember(kept)
        again = [tensor.clone() for tensor in changed]
        reference.project_(again, when="always", scope="global")
        for one, other in zip(again, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_an_average_is_the_exponential_one() -> None:
    reference, past = RetainReference("average", 4), [gradient() for _ in range(6)]
    mean = past[0]
    for one in past:
        reference.remember(one)
        mean = [0.75 * a + 0.25 * b for a, b in zip(mean, one, strict=True)]
    changed = gradient()
    reference.project_(changed, when="always", scope="global")
    assert abs(cosine(changed, mean)) < 1e-6


def test_on_conflict_a_span_removes_only_what_goes_against_a_basis_direction() -> None:
    reference = RetainReference("span", 2)
    along, against = [torch.tensor([1.0, 0.0, 0.0])], [torch.tensor([0.0, 1.0, 0.0])]
    reference.remember(along)
    reference.remember(against)
    changed = [torch.tensor([2.0, -3.0, 5.0])]
    reference.project_(changed, when="on_conflict", scope="global")
    torch.testing.assert_close(changed[0], torch.tensor([2.0, 0.0, 5.0]))


@pytest.mark.parametrize("kind", ["batch", "span", "average"])
def test_what_is_remembered_is_not_changed_and_nothing_is_projected_when_never(kind: str) -> None:
    reference, given = RetainReference(kind, 2), gradient()
    before = [tensor.clone() for tensor in given]
    reference.remember(given)
    reference.remember(given)
    changed = gradient()
    expected = [tensor.clone() for tensor in changed]
    reference.project_(changed, when="never", scope="global")
    assert all(torch.equal(a, b) for a, b in zip(changed, expected, strict=True))
    reference.project_(changed, when="always", scope="global")
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


def test_a_vanishing_retain_gradient_protects_nothing() -> None:
    reference = RetainReference("span", 2)
    reference.remember([torch.zeros(3)])
    reference.remember([torch.tensor([0.0, 0.0, 2.0])])
    changed = [torch.tensor([1.0, 2.0, 3.0])]
    reference.project_(changed, when="always", scope="global")
    torch.testing.assert_close(changed[0], torch.tensor([1.0, 2.0, 0.0]))
