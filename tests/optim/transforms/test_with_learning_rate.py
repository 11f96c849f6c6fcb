import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import linear, reduce_on_plateau
from tessera.optim.transformation import GradientTransformation, per_parameter, stateless, zero_count
from tessera.optim.transforms.with_learning_rate import with_learning_rate

PARAM = torch.tensor(0.0)


def counting(rate):
    return per_parameter(lambda grad, state, _: (grad * rate, {"step": state["step"] + 1}), {"step": zero_count})


def test_a_number_is_all_that_is_needed():
    plain = stateless(lambda grad, _: grad)
    fixed = with_learning_rate(0.5, lambda rate: plain)
    assert (fixed.update, fixed.state) == (plain.update, {})
    assert fixed.rate([]) == 0.5
    tensor = torch.tensor(0.25)
    assert with_learning_rate(tensor, counting).update([torch.ones(())], [{"step": PARAM}], [PARAM])[0] == [tensor]


def test_a_schedule_counts_beside_the_counts_inside():
    tx = with_learning_rate(linear(1.0, 0.0, 4), counting)
    assert list(tx.state) == ["step", "step_1"]
    states = [tx.init(PARAM)]
    seen = []
    for _ in range(6):
        (update,), states = tx.update([torch.ones(())], states, [PARAM])
        seen.append(update.item())
    assert seen == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert {name: value.item() for name, value in states[0].items()} == {"step": 6, "step_1": 6}


def test_a_schedule_goes_on_after_more_updates_than_a_float32_can_count():
    tx = with_learning_rate(linear(1.0, 0.0, 2**25), lambda rate: stateless(lambda grad, _: grad * rate))
    states = [tx.init(PARAM)]
    states[0]["step"] += 2**24
    for _ in range(3):
        _, states = tx.update([torch.ones(())], states, [PARAM])
    assert states[0]["step"].item() == 2**24 + 3


def test_parameters_that_come_late_take_part_at_the_rate_of_the_others():
    tx = with_learning_rate(linear(1.0, 0.0, 4), lambda rate: stateless(lambda grad, _: grad * rate))
    updates, states = tx.update(
        [torch.ones(())] * 2, [{"step": torch.tensor(2.0)}, {"step": torch.tensor(0.0)}], [PARAM, PARAM]
    )
    assert updates == [torch.tensor(0.5)] * 2
    assert [state["step"].item() for state in states] == [3.0, 3.0]
    assert tx.update([], [], []) == ([], [])


def test_a_plateau_is_state_that_observes():
    tx = with_learning_rate(reduce_on_plateau(0.5, patience=0), counting)
    assert list(tx.state) == ["step", "plateau"]
    state = tx.init(PARAM)
    for loss in (1.0, 1.0):
        state |= tx.observe(state, loss)
    assert tx.update([torch.ones(())], [state], [PARAM])[0] == [torch.tensor(0.05)]
    assert isinstance(tx, GradientTransformation)


@pytest.mark.parametrize("returned", [torch.zeros(1), None, "fast"])
def test_a_schedule_that_returns_something_else_is_refused(returned):
    tx = with_learning_rate(lambda _: returned, counting)
    with pytest.raises(OptimizerError, match="^The learning-rate schedule .* returned .*one number"):
        tx.update([torch.ones(())], [tx.init(PARAM)], [PARAM])


@pytest.mark.parametrize("rate", [-1.0, float("nan"), "0.1", None])
def test_bad_numbers_are_refused(rate):
    with pytest.raises(OptimizerError, match="^lr="):
        with_learning_rate(rate, counting)
