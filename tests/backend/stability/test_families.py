import pytest
import torch

from tessera.backend.stability import families
from tessera.backend.stability.families import EACH, HOSTILE, ORDINARY, OUT_OF_HALF, OUT_OF_RANGE, TINY

FIRST = torch.rand(EACH, 5, generator=torch.Generator().manual_seed(1))


def made(family):
    return family(torch.Generator().manual_seed(0), [5], FIRST)


@pytest.mark.parametrize("at", range(len(ORDINARY + HOSTILE + OUT_OF_RANGE + OUT_OF_HALF)))
def test_every_family_has_its_samples_and_is_the_same_again(at):
    family = (ORDINARY + HOSTILE + OUT_OF_RANGE + OUT_OF_HALF)[at]
    assert made(family).shape == (EACH, 5)
    assert made(family).isfinite().all()
    assert torch.equal(made(family), made(family))


def test_near_one_is_of_all_orders_of_magnitude():
    apart = (made(families._near_one) - 1).abs()
    assert apart.max() < 0.11
    assert apart.min() < 1e-5
    assert ((apart.log10().floor() + 6).unique().numel()) >= 4


def test_what_is_tiny_comes_first():
    assert ORDINARY[: len(TINY)] == TINY
    assert all(made(family).abs().max() < 1e-5 for family in TINY)


def test_squares_leave_the_range():
    for family in OUT_OF_RANGE:
        squares = made(family).float() ** 2
        assert (squares.isinf() | (squares < 1e-38)).all()
    assert any((made(family).half() ** 2).isinf().any() for family in OUT_OF_HALF)
