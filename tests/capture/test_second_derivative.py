"""Code that differentiates itself is recognised by reading it."""

import torch
from torch import nn

from tessera.capture.second_derivative import wants_second_derivative


def penalty(prediction, x):
    (slope,) = torch.autograd.grad(prediction.sum(), x, create_graph=True)
    return slope.square().mean()


class Penalised(nn.Linear):
    def forward(self, x):
        return super().forward(x) + penalty(super().forward(x), x)


class Plain(nn.Linear):
    def forward(self, x):
        return super().forward(x)


def test_in_the_module_in_a_layer_and_in_the_loss():
    assert wants_second_derivative(Penalised(2, 2), None)
    assert wants_second_derivative(nn.Sequential(nn.ReLU(), Penalised(2, 2)), None)
    assert wants_second_derivative(Plain(2, 2), penalty)


def test_ordinary_modules_and_losses_are_not():
    assert not wants_second_derivative(Plain(2, 2), nn.functional.mse_loss)
    assert not wants_second_derivative(nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2)), nn.CrossEntropyLoss())
