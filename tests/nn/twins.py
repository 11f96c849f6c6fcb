"""The same network as a tessera.model and as a plain torch module."""

from __future__ import annotations

import copy

import torch
from torch.nn import BatchNorm1d, Dropout, Linear, ReLU

from tessera.nn import Sequential
from tessera.nn.model import model


def layers(kind):
    extra = {"plain": [], "dropout": [Dropout(0.4)], "batchnorm": [BatchNorm1d(16)]}[kind]
    return [Linear(8, 16), *extra, ReLU(), Linear(16, 3)]


@model
class Net:
    def __init__(self, kind="plain"):
        self.layers = Sequential(layers(kind))

    def forward(self, x):
        return self.layers(x)


class PlainNet(torch.nn.Module):
    def __init__(self, kind="plain"):
        super().__init__()
        self.layers = torch.nn.Sequential(*layers(kind))

    def forward(self, x):
        return self.layers(x)


def twins(kind="plain", dtype=torch.float32):
    """A Net and a PlainNet with the same weights."""
    plain = PlainNet(kind).to(dtype)
    net = Net(kind).to(dtype)
    net.load_state_dict(copy.deepcopy(plain.state_dict()))
    return net, plain


def batches(count, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        yield torch.randn(6, 8, generator=generator, dtype=dtype), torch.randint(3, (6,), generator=generator)
