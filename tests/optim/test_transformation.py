import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tessera.optim.transformation import (
    GradientTransformation,
    Member,
    identity,
    per_parameter,
    stateless,
    zero_count,
    zeros,
)

PARAMS = [torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor(3.0, dtype=torch.bfloat16)]
GRADS = [torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor(2.0, dtype=torch.bfloat16)]


def test_init_makes_every_state_of_one_parameter():
    transformation = GradientTransformation({"step": zero_count, "mean": zeros}, lambda g, s, _: (list(g), list(s)))
    state = transformation.init(PARAMS[1])
    assert {name: (value.item(), value.dtype) for name, value in state.items()} == {
        "step": (0, torch.float32),
        "mean": (0, torch.bfloat16),
    }


def test_only_what_updates_a_parameter_is_inside_for_it():
    inner = stateless(lambda grad, _: grad)
    outer = GradientTransformation({}, inner.update, members=[Member(inner, {}, lambda param: param.ndim == 1)])
    assert [each.transformation for each in outer.everything_inside()] == [outer, inner]
    assert [each.transformation for each in outer.everything_inside(PARAMS[0])] == [outer, inner]
    assert [each.transformation for each in outer.everything_inside(PARAMS[1])] == [outer]


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        identity().state = {}


def test_per_parameter_keeps_dtypes_though_a_0d_double_takes_part():
    double = torch.tensor(0.1, dtype=torch.float64)

    def update(grad, state, param):
        return double * grad, {"mean": state["mean"] + double * param}

    transformation = per_parameter(update, {"mean": zeros})
    states = [transformation.init(param) for param in PARAMS]
    updates, new = transformation.update(GRADS, states, PARAMS)
    assert [u.dtype for u in updates] == [torch.float64, torch.bfloat16]
    assert [n["mean"].dtype for n in new] == [torch.float64, torch.bfloat16]
    torch.testing.assert_close(updates[0], torch.tensor([0.05, 0.05], dtype=torch.float64))
    torch.testing.assert_close(new[0]["mean"], torch.tensor([0.1, 0.2], dtype=torch.float64))


def test_stateless_and_identity_remember_nothing():
    for transformation, factor in ((stateless(lambda grad, param: grad * param), PARAMS), (identity(), (1, 1))):
        updates, states = transformation.update(GRADS, [{}, {}], PARAMS)
        assert transformation.init(PARAMS[0]) == {}
        assert states == [{}, {}]
        for update, grad, by in zip(updates, GRADS, factor, strict=True):
            assert torch.equal(update, grad * by)


def test_numbers_of_a_count_are_made_of_each_parameters_own():
    asked = []

    def of_count(count):
        asked.append(count.shape)
        return count + 1, 10.0 * count.double()

    def update(grad, state, _, new, tens):
        return grad + tens, {"step": new}

    transformation = per_parameter(update, {"step": zero_count}, of_count)
    states = [{"step": torch.tensor(1.0)}, {"step": torch.tensor(5.0)}]
    updates, new = transformation.update(GRADS, states, PARAMS)
    assert asked == [(2,)]  # at once
    torch.testing.assert_close(updates, [GRADS[0] + 10, GRADS[1] + 50])
    assert [n["step"].item() for n in new] == [2.0, 6.0]
    with FlopCounterMode(display=False):  # any mode that operations go to; recording is one
        torch.testing.assert_close(transformation.update(GRADS, states, PARAMS)[0], updates)
    assert asked[1:] == [(), ()]
    elsewhere = [tensor.to("meta") for tensor in (GRADS[0], states[0]["step"], PARAMS[0])]
    transformation.update([elsewhere[0], GRADS[1]], [{"step": elsewhere[1]}, states[1]], [elsewhere[2], PARAMS[1]])
    assert asked[3:] == [(), ()]
    assert transformation.update([], [], []) == ([], [])


def test_nothing_to_update_is_no_error():
    for transformation in (identity(), stateless(lambda grad, _: grad)):
        assert transformation.update([], [], []) == ([], [])


def test_a_count_lives_beside_its_parameter():
    assert zero_count(torch.empty(3, device="meta")).device.type == "meta"
    assert zero_count(torch.empty(3)).device.type == "cpu"
