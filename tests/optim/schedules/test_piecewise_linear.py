import numpy as np

from tessera.optim import piecewise_linear
from tests.optim.schedules.closed_form import assert_is, assert_refused


def test_values():
    points = {14: 0.2, 3: 0.1, 8: 1.0}
    assert_is(piecewise_linear(points), lambda t: float(np.interp(t, [3, 8, 14], [0.1, 1.0, 0.2])))


def test_one_point_is_a_constant():
    assert_is(piecewise_linear({5: 0.3}), lambda _: 0.3)


def test_bad_values_are_refused():
    assert_refused(
        lambda: piecewise_linear({}),
        "points={} was passed. points has at least one step and its value. "
        "Write for example points={0: 0.0, 100: 1e-3, 1000: 0.0}.",
    )
    assert_refused(
        lambda: piecewise_linear({0: 0.1, 1.5: 0.2}),
        "step=1.5 was passed. step is a whole number of steps, at least 0. Write for example step=1000.",
    )
