import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import SGD, chain, constant, scale, scale_by_adam, scale_by_learning_rate, trace
from tessera.optim.transformation import GradientTransformation, zero_count

PARAM = torch.tensor([1.0, -1.0])
GRAD = torch.tensor([2.0, 4.0])


def counter(amount):
    """Adds its count so far to the update, and ``amount`` to its count."""

    def update(grads, states, _):
        return (
            [grad + state["step"] for grad, state in zip(grads, states, strict=True)],
            [{"step": state["step"] + amount} for state in states],
        )

    return GradientTransformation({"step": zero_count}, update)


def test_members_apply_in_order():
    first = chain(scale(2.0), counter(0), scale_by_learning_rate(0.5))
    updates, _ = first.update([GRAD], [{"step": torch.tensor(1.0)}], [PARAM])
    assert torch.equal(updates[0], -0.5 * (2 * GRAD + 1))


def test_a_name_used_twice_gets_a_suffix_and_each_member_its_own_value():
    tx = chain(counter(1), chain(counter(10), counter(100)), counter(1000))
    assert list(tx.state) == ["step", "step_1", "step_1_1", "step_2"]
    states = [tx.init(PARAM)]
    for _ in range(2):
        updates, states = tx.update([GRAD], states, [PARAM])
    assert {name: value.item() for name, value in states[0].items()} == {
        "step": 2,
        "step_1": 20,
        "step_1_1": 200,
        "step_2": 2000,
    }
    assert torch.equal(updates[0], GRAD + 1111)


def test_chaining_is_associative():
    members = [trace(0.9), scale_by_adam(), scale_by_learning_rate(constant(0.1))]
    results = []
    for tx in (chain(*members), chain(members[0], chain(*members[1:])), chain(chain(*members[:2]), members[2])):
        states = [tx.init(PARAM)]
        for _ in range(3):
            updates, states = tx.update([GRAD], states, [PARAM])
        results.append((updates[0], states[0]))
    for update, state in results[1:]:
        assert torch.equal(update, results[0][0])
        assert state.keys() == results[0][1].keys()


def test_an_empty_chain_is_the_identity():
    updates, states = chain().update([GRAD], [{}], [PARAM])
    assert updates[0] is GRAD
    assert states == [{}]


def test_a_member_that_is_no_transformation_is_refused():
    with pytest.raises(OptimizerError) as caught:
        chain(scale(1.0), SGD)
    assert str(caught.value) == (
        "chain() was given <class 'tessera.optim.sgd.SGD'> at position 1. "
        "Each of its arguments is a gradient transformation. "
        "Write for example chain(clip_by_global_norm(1.0), adam(1e-3)): the lower-case functions of tessera.optim "
        "make transformations."
    )
