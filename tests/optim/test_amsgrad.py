import copy

import torch

from tessera.optim import AMSGrad, Optimizer, amsgrad
from tests.optim.parity import Model, assert_follows_twin, assert_same, assert_state_moves_between, train


def twin(params):
    return torch.optim.Adam(params, lr=0.05, betas=(0.5, 0.6), weight_decay=0.1, amsgrad=True)


def ours(params):
    return AMSGrad(params, lr=0.05, betas=(0.5, 0.6), weight_decay=0.1)


def test_steps_are_torchs():
    assert_follows_twin(ours, twin)


def test_state_dict_is_torchs():
    assert_state_moves_between(ours, twin)


def test_the_transformation_is_the_optimizer():
    model = Model()
    other = copy.deepcopy(model)
    train(model, ours(model), range(6))
    train(other, Optimizer(other, amsgrad(0.05, (0.5, 0.6), weight_decay=0.1)), range(6))
    assert_same(model, other)
