import copy

import torch
from torch import nn

from tessera.optim import SOAP, Optimizer, chain, soap
from tests.optim.parity import Model, assert_same, train


def test_it_descends_where_the_axes_are_not_the_parameters_own():
    torch.manual_seed(0)
    mix = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    scales = torch.logspace(0, 2, 6, dtype=torch.float64)
    param = nn.Parameter(torch.randn(6, 6, dtype=torch.float64))
    optimizer = SOAP([param], lr=0.05, weight_decay=0.0)
    losses = [float(optimizer.step((scales[:, None] * (mix @ param)).square().sum())) for _ in range(300)]
    assert losses[-1] < 1e-3 * losses[0]


def test_the_transformation_is_the_optimizer_and_state_is_saved():
    model = Model()
    other, ours = copy.deepcopy(model), SOAP(model, 0.01, precondition_frequency=2)
    theirs = Optimizer(other, chain(soap(0.01, precondition_frequency=2)))
    train(model, ours, range(7))
    train(other, theirs, range(7))
    assert_same(model, other)
    resumed_model = copy.deepcopy(model)
    resumed = SOAP(resumed_model)
    resumed.load_state_dict(copy.deepcopy(ours.state_dict()))
    train(model, ours, range(7, 12))
    train(resumed_model, resumed, range(7, 12))
    assert_same(model, resumed_model, tolerance=1e-15)


def test_maximize_goes_up():
    param = nn.Parameter(torch.ones(2, 2))
    optimizer = SOAP([param], lr=0.1, weight_decay=0.0, maximize=True)
    losses = [float(optimizer.step(param.sum())) for _ in range(4)]
    assert losses[0] == losses[1] < losses[2] < losses[3]
