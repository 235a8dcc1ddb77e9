"""What a projection promises, for any gradients."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from obliq.gradients import clip_norm_, inner_product, project_, remove_component

seeds = st.integers(0, 10_000)
SHAPES = [(4, 3), (5,), (2, 3, 3, 3), ()]


def gradient(seed: int, scale: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator) for shape in SHAPES]


def norm(vector: list[torch.Tensor]) -> float:
    return math.sqrt(float(inner_product(vector, vector)))


@given(seeds, st.sampled_from([1e-3, 1.0, 1e3]), st.sampled_from([1e-8, 1e-4, 1.0, 1e8]))
def test_result_is_orthogonal_to_the_direction(seed: int, scale: float, length: float) -> None:
    g, d = gradient(seed, scale), gradient(seed + 1, length)
    result = remove_component(g, d)
    assert abs(float(inner_product(result, d))) <= 1e-6 * norm(g) * norm(d)


@given(seeds)
def test_projecting_twice_is_projecting_once(seed: int) -> None:
    once = remove_component(gradient(seed), gradient(seed + 1))
    twice = remove_component(once, gradient(seed + 1))
    for a, b in zip(once, twice, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@given(seeds, st.sampled_from([0.01, 7.0, -3.0]))
def test_length_and_sign_of_the_direction_do_not_matter(seed: int, scale: float) -> None:
    g, d = gradient(seed), gradient(seed + 1)
    for a, b in zip(remove_component(g, d), remove_component(g, [scale * x for x in d]), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_zero_direction_changes_nothing() -> None:
    g = gradient(0)
    for a, b in zip(remove_component(g, [torch.zeros_like(x) for x in g]), g, strict=True):
        assert torch.equal(a, b)


@given(seeds)
def test_equals_the_closed_form_on_one_flat_float64_vector(seed: int) -> None:
    g, d = gradient(seed), gradient(seed + 1)
    flat_g = torch.cat([x.reshape(-1) for x in g]).double()
    flat_d = torch.cat([x.reshape(-1) for x in d]).double()
    expected = flat_g - (flat_g @ flat_d) / (flat_d @ flat_d) * flat_d
    result = torch.cat([x.reshape(-1) for x in remove_component(g, d)]).double()
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


@given(seeds)
def test_on_conflict_leaves_agreeing_gradients_alone(seed: int) -> None:
    g, d = gradient(seed), gradient(seed + 1)
    result = [x.clone() for x in g]
    project_(result, d, when="on_conflict", scope="global")
    if float(inner_product(g, d)) >= 0:
        assert all(torch.equal(a, b) for a, b in zip(result, g, strict=True))
    else:
        for a, b in zip(result, remove_component(g, d), strict=True):
            torch.testing.assert_close(a, b)


@given(seeds)
def test_per_tensor_is_orthogonal_tensor_by_tensor_and_so_globally(seed: int) -> None:
    g, d = gradient(seed), gradient(seed + 1)
    size = norm(g) * norm(d)
    project_(g, d, when="always", scope="per_tensor")
    for a, b in zip(g, d, strict=True):
        assert abs(float((a * b).sum())) <= 1e-6 * size
    assert abs(float(inner_product(g, d))) <= 1e-6 * size


def test_never_is_the_identity() -> None:
    g = gradient(3)
    before = [x.clone() for x in g]
    project_(g, gradient(4), when="never", scope="global")
    assert all(torch.equal(a, b) for a, b in zip(g, before, strict=True))


def test_remove_component_leaves_its_arguments_alone() -> None:
    g, d = gradient(5), gradient(6)
    before = [x.clone() for x in g]
    remove_component(g, d)
    assert all(torch.equal(a, b) for a, b in zip(g, before, strict=True))


def test_a_step_along_the_result_leaves_a_linear_loss_as_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(50, generator=generator, dtype=torch.float64)
    slope = torch.randn(50, generator=generator, dtype=torch.float64)
    (u,) = remove_component([torch.randn(50, generator=generator, dtype=torch.float64)], [slope])
    assert float(slope @ (theta - 3.0 * u)) == pytest.approx(float(slope @ theta), abs=1e-9)


@given(seeds, st.sampled_from([0.1, 1.0, 100.0]))
def test_shortening_keeps_the_direction_and_never_lengthens(seed: int, longest: float) -> None:
    g = gradient(seed)
    before = [x.clone() for x in g]
    clip_norm_(g, longest)
    assert norm(g) <= max(longest, 0) * (1 + 1e-5)
    scale = min(1.0, longest / norm(before))
    for a, b in zip(g, before, strict=True):
        torch.testing.assert_close(a, scale * b)
