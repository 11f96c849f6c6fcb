import torch

from tessera.optim import Adagrad
from tests.optim.parity import Model, assert_same, assert_state_moves_between, decayed_and_not, train


def test_steps_and_groups_are_torchs():
    model, twin = Model(), Model()
    ours = Adagrad(decayed_and_not(model.parameters(), eps=1e-5), lr=0.05, initial_accumulator_value=0.1)
    theirs = torch.optim.Adagrad(decayed_and_not(twin.parameters(), eps=1e-5), lr=0.05, initial_accumulator_value=0.1)
    for step in range(25):
        train(model, ours, [step])
        train(twin, theirs, [step])
        assert_same(model, twin)
    assert model.unused not in ours.state  # torch makes state for every parameter at once, we when it has a gradient


def test_state_dict_is_torchs():
    def without_unused(make):
        return lambda params: make([param for param in params if param.shape != (2,)])

    assert_state_moves_between(
        without_unused(lambda p: Adagrad(p, lr=0.05)), without_unused(lambda p: torch.optim.Adagrad(p, lr=0.05))
    )
