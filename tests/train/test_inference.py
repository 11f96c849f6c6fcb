from __future__ import annotations

import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, chain, ema_weights, sgd
from tessera.train.inference import inference


def trained():
    net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Dropout())
    optimizer = Optimizer(net, chain(sgd(0.5), ema_weights(0.9)))
    for _ in range(3):
        optimizer.step(net[0](torch.ones(4, 2)).sum())
        optimizer.zero_grad()
    return net, optimizer


def test_eval_mode_without_gradients_and_back():
    net, _ = trained()
    net[1].eval()
    with inference(net):
        assert not any(part.training for part in net.modules())
        assert not net(torch.ones(1, 2)).requires_grad
    assert [part.training for part in net.modules()] == [True, True, False]
    assert net(torch.ones(1, 2)).requires_grad


def test_averaged_weights_and_back():
    net, optimizer = trained()
    before = net[0].weight.detach().clone()
    with optimizer.averaged_weights():
        averaged = net[0].weight.detach().clone()
    with inference(net, optimizer):
        assert torch.equal(net[0].weight, averaged)
    assert not torch.equal(averaged, before)
    assert torch.equal(net[0].weight, before)


def test_all_is_put_back_after_an_error():
    net, optimizer = trained()
    before = net[0].weight.detach().clone()
    with pytest.raises(KeyError), inference(net, optimizer):
        raise KeyError
    assert net.training
    assert torch.is_grad_enabled()
    assert torch.equal(net[0].weight, before)


def test_an_optimizer_of_torchs_averages_nothing():
    net, _ = trained()
    with pytest.raises(OptimizerError) as caught, inference(net, torch.optim.SGD(net.parameters(), lr=0.1)):
        pass
    assert str(caught.value) == (
        "optimizer is a torch.optim.sgd.SGD. "
        "It is the optimizer whose averaged weights are used, one of tessera.optim. "
        "Leave it out to use the parameters as they are, or train with tessera.optim.ema_weights in a chain."
    )
    assert net.training
