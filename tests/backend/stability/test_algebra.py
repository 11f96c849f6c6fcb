import pytest

from tessera.backend.stability.algebra import LONGEST, Algebra


@pytest.fixture
def algebra():
    return Algebra()


def named(algebra, *names):
    return [algebra.make("leaf", name) for name in names]


def test_spellings_of_one_sum_are_one_value(algebra):
    x, y = named(algebra, "x", "y")
    two = algebra.number(2)
    one = algebra.add((1.0, algebra.minus(x, y)), (1.0, algebra.add((2.0, y), (1.0, two))))
    assert one is algebra.add((1.0, two), (1.0, y), (1.0, x))
    assert algebra.negative(algebra.negative(x)) is x


def test_spellings_of_one_product_are_one_value(algebra):
    x, y = named(algebra, "x", "y")
    assert algebra.divide(x, y) is algebra.times(x, algebra.power(y, -1))
    assert algebra.power(algebra.times(x, y), 2) is algebra.times(x, y, x, y)
    assert algebra.power(algebra.power(x, 2), 0.5) is algebra.make("abs", x)
    assert algebra.times(algebra.scale(x, 3), y) is algebra.scale(algebra.times(y, x), 3)


def test_a_root_of_a_product_is_one_of_roots_only_where_none_is_negative(algebra):
    x, y = named(algebra, "x", "y")
    e = algebra.make("exp", x)
    assert algebra.power(algebra.times(x, y), 0.5).args[0][0][0] is algebra.times(x, y)
    square = algebra.power(y, 2)
    assert algebra.power(algebra.times(e, square), 0.5) is algebra.times(algebra.power(e, 0.5), algebra.make("abs", y))


def test_exponentials_are_multiplied_by_adding_exponents(algebra):
    x, y = named(algebra, "x", "y")
    product = algebra.divide(algebra.make("exp", x), algebra.make("exp", y))
    assert product is algebra.make("exp", algebra.minus(x, y))


def test_what_cancels_is_noted(algebra):
    x, y = named(algebra, "x", "y")
    total = algebra.add((1.0, x), (1.0, y))
    algebra.cancelled = []
    algebra.add((1.0, x), (1.0, x))
    assert algebra.cancelled == []
    assert algebra.minus(total, x) is y
    assert total in algebra.cancelled


def test_a_long_sum_is_not_taken_apart(algebra):
    total = named(algebra, 0)[0]
    for at in range(1, 3 * LONGEST):
        total = algebra.add((1.0, total), (1.0, named(algebra, at)[0]))
    assert len(algebra.terms(total)[1]) <= LONGEST
