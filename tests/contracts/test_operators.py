"""PyTorch's operator database under ``tessera.compile``: a fixed part by default, all of it as a slow test."""

from __future__ import annotations

import pytest

from tests.contracts.operators import differences, name_of, operators

pytestmark = pytest.mark.filterwarnings("ignore")  # samples warn on purpose

# What differs for a reason that is not ours: plain torch.compile gives the same.
KNOWN: dict[str, str] = {}


def parameters(slices):
    return [pytest.param(op, id=name_of(op)) for op in operators(slices)]


def check(op):
    found = list(differences(op))
    if name_of(op) in KNOWN:
        assert found, f"{name_of(op)} is right now: take it out of KNOWN"
    else:
        assert not found, "\n".join(found)


@pytest.mark.parametrize("op", parameters(slices=30))
def test_an_operator(op):
    check(op)


@pytest.mark.slow
@pytest.mark.parametrize("op", parameters(slices=1))
def test_every_operator(op):
    check(op)


def test_the_part_is_a_fair_one():
    assert 15 <= len(operators(30)) <= 30
    assert len(operators()) > 500
