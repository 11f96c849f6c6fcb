from tessera.optim import constant
from tests.optim.schedules.closed_form import assert_is, assert_refused


def test_values():
    assert_is(constant(0.3), lambda _: 0.3)


def test_bad_values_are_refused():
    assert_refused(
        lambda: constant(-1.0),
        "value=-1.0 was passed. value is a finite number of at least 0, or a 0-d tensor. "
        "Write for example value=0.001.",
    )
