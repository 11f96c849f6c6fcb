import pytest

from tessera.backend.stability.algebra import Algebra
from tessera.backend.stability.facts import is_centred, is_nonnegative, is_positive, is_shifted

A = Algebra()
X = A.make("leaf", "x")
E = A.make("exp", X)


@pytest.mark.parametrize(
    ("value", "nonnegative", "positive"),
    [
        (X, False, False),
        (E, True, True),
        (A.power(X, 2), True, False),
        (A.power(X, 3), False, False),
        (A.add((1.0, A.power(X, 2)), (1.0, A.number(1))), True, True),
        (A.add((1.0, E), (-1.0, A.number(1))), False, False),
        (A.make("sum", A.make("abs", X), (0,)), True, False),
        (A.divide(E, A.make("sum", E, (0,))), True, True),
        (A.number(-1), False, False),
    ],
    ids=repr,
)
def test_signs(value, nonnegative, positive):
    assert (is_nonnegative(value), is_positive(value)) == (nonnegative, positive)


def test_an_exponent_without_its_maximum_is_known():
    largest = A.make("detach", A.make("amax", X, (0,)))
    assert is_shifted(A.minus(X, largest))
    assert not is_shifted(A.add((1.0, X), (1.0, largest)))
    assert not is_shifted(X)


def test_what_is_centred_is_known():
    mean = A.make("mean", X, (0,))
    assert is_centred(A.minus(X, mean))
    assert is_centred(A.minus(X, A.make("move", X, "first")))
    assert not is_centred(A.minus(X, A.make("mean", E, (0,))))
    assert not is_centred(X)
