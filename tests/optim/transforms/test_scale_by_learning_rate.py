import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import linear, scale_by_learning_rate

PARAMS = [torch.zeros(2), torch.zeros(())]
GRADS = [torch.tensor([1.0, -2.0]), torch.tensor(4.0)]


@pytest.mark.parametrize("rate", [0.5, torch.tensor(0.5, dtype=torch.float64), lambda step: 0.5])
def test_it_multiplies_by_minus_the_rate(rate):
    tx = scale_by_learning_rate(rate)
    updates, _ = tx.update(GRADS, [tx.init(p) for p in PARAMS], PARAMS)
    for update, grad in zip(updates, GRADS, strict=True):
        assert torch.equal(update, -0.5 * grad)
        assert update.dtype == grad.dtype


def test_a_schedule_starts_at_step_zero():
    tx = scale_by_learning_rate(linear(0.0, 1.0, 4))
    states = [tx.init(p) for p in PARAMS]
    rates = []
    for _ in range(6):
        updates, states = tx.update(GRADS, states, PARAMS)
        rates.append(-updates[0][0].item())
    assert rates == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_schedule_is_asked_once_with_a_double_and_the_latest_count():
    asked = []

    def schedule(step):
        asked.append(step)
        return step

    tx = scale_by_learning_rate(schedule)
    updates, states = tx.update(GRADS, [{"step": torch.tensor(2.0)}, {"step": torch.tensor(5.0)}], PARAMS)
    assert len(asked) == 1
    assert (asked[0].shape, asked[0].dtype, asked[0].item()) == ((), torch.float64, 5.0)
    assert [state["step"].item() for state in states] == [6.0, 6.0]
    assert torch.equal(updates[1], torch.tensor(-20.0))


def test_nothing_to_update_is_no_error():
    assert scale_by_learning_rate(linear(0.0, 1.0, 4)).update([], [], []) == ([], [])


@pytest.mark.parametrize(
    ("value", "returned"), [(torch.ones(2, 1), "a tensor of shape [2, 1]"), ("fast", "'fast'"), (None, "None")]
)
def test_a_schedule_that_returns_no_scalar_is_refused(value, returned):
    class Schedule:
        def __call__(self, step):
            return value

        def __repr__(self):
            return "Schedule()"

    tx = scale_by_learning_rate(Schedule())
    with pytest.raises(OptimizerError) as caught:
        tx.update(GRADS[:1], [tx.init(PARAMS[0])], PARAMS[:1])
    assert str(caught.value) == (
        f"The learning-rate schedule Schedule() returned {returned}. "
        "A schedule returns one number: a 0-d tensor or a float. "
        "Write for example lambda step: 0.1 / (1 + step), where step is a 0-d tensor."
    )


def test_a_negative_rate_is_refused():
    with pytest.raises(OptimizerError, match=r"lr=-0\.1 was passed"):
        scale_by_learning_rate(-0.1)
