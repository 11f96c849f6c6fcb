import pytest

from tessera.errors import OptimizerError
from tessera.optim.schedules.schedule import check_schedule, check_steps


@pytest.mark.parametrize("steps", [0, 3, 4.0])
def test_whole_numbers_are_steps(steps):
    check_steps("steps", steps)


@pytest.mark.parametrize("steps", [-1, 1.5, "3", None, True, float("inf"), float("nan")])
def test_other_things_are_not(steps):
    with pytest.raises(OptimizerError) as caught:
        check_steps("steps", steps)
    assert str(caught.value) == (
        f"steps={steps!r} was passed. steps is a whole number of steps, at least 0. Write for example steps=1000."
    )


def test_a_schedule_can_be_called():
    check_schedule("lr", lambda step: step)
    with pytest.raises(OptimizerError, match=r"^lr=\[1\] was passed"):
        check_schedule("lr", [1])
