from tessera.backend.stability.algebra import Algebra
from tessera.backend.stability.table import TABLE, stable


def test_every_row_says_what_it_does_and_why():
    assert len({rule.name for rule in TABLE}) == len(TABLE)
    for rule in TABLE:
        assert "->" in rule.name
        assert rule.proof
        assert rule.hostile


def test_factors_and_dropped_dimensions_stay_around_what_is_stable():
    algebra = Algebra()
    x = algebra.make("leaf", "x")
    plain = algebra.make("squeeze", algebra.scale(algebra.make("log", algebra.make("sigmoid", x)), 3.0), (1,))
    rule, found = stable(algebra, plain)
    assert rule.name.startswith("log(sigmoid)")
    assert found is algebra.make("squeeze", algebra.scale(algebra.make("log_sigmoid", x), 3.0), (1,))
    assert stable(algebra, found) is None
