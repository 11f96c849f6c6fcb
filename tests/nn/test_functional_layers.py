"""Every layer as a function is the layer of torch.nn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tessera
from tessera.errors import LayerError

# What is written, what it stands for, the shape it is given.
LAYERS = {
    "linear": (lambda x: tessera.nn.linear(x, 6), lambda: nn.Linear(5, 6), (3, 4, 5)),
    "linear without bias": (lambda x: tessera.nn.linear(x, 6, bias=False), lambda: nn.Linear(5, 6, False), (3, 5)),
    "conv1d": (lambda x: tessera.nn.conv1d(x, 6, 3, 2, 1), lambda: nn.Conv1d(4, 6, 3, 2, 1), (2, 4, 9)),
    "conv2d": (
        lambda x: tessera.nn.conv2d(x, 6, (3, 1), padding="same", groups=2, bias=False),
        lambda: nn.Conv2d(4, 6, (3, 1), padding="same", groups=2, bias=False),
        (2, 4, 9, 8),
    ),
    "embedding": (lambda x: tessera.nn.embedding(x, 9, 4, 0), lambda: nn.Embedding(9, 4, 0), None),
    "layer_norm": (
        lambda x: tessera.nn.layer_norm(x, 1e-3, bias=False),
        lambda: nn.LayerNorm(5, 1e-3, bias=False),
        (3, 5),
    ),
    "rms_norm": (lambda x: tessera.nn.rms_norm(x, 1e-3), lambda: nn.RMSNorm(5, 1e-3), (3, 5)),
    "batch_norm": (tessera.nn.batch_norm, lambda: nn.BatchNorm1d(5), (3, 5)),
    "batch_norm 2d": (
        lambda x: tessera.nn.batch_norm(x, momentum=None),
        lambda: nn.BatchNorm2d(5, momentum=None),
        (3, 5, 2, 2),
    ),
    "batch_norm 3d": (
        lambda x: tessera.nn.batch_norm(x, affine=False),
        lambda: nn.BatchNorm3d(5, affine=False),
        (3, 5, 2, 2, 2),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_it_is_the_layer_of_torch(name):
    written, make, shape = LAYERS[name]
    x = torch.randint(0, 9, (3, 4)) if shape is None else torch.randn(shape)
    net = tessera.function(written)
    torch.manual_seed(0)
    twin = make()
    torch.manual_seed(0)
    for _ in range(2):
        assert torch.equal(net(x), twin(x))
    (layer,) = net.children()
    assert str(layer) == str(twin)
    assert all(map(torch.equal, layer.state_dict().values(), twin.state_dict().values()))
    assert torch.equal(net.eval()(x), twin.eval()(x))


@pytest.mark.parametrize("name", LAYERS)
def test_outside_of_a_function_it_is_refused(name):
    written, _, shape = LAYERS[name]
    with pytest.raises(LayerError, match="was called outside of a tessera.function"):
        written(torch.zeros(3, 4, dtype=torch.int64) if shape is None else torch.randn(shape))


def test_what_calls_a_body_without_lines_of_its_own_is_no_line_of_it():
    net, x = tessera.function(tessera.nn.layer_norm), torch.randn(2, 3)
    first = net(x)
    assert torch.equal(net(x), first)


def test_a_name_is_the_key():
    net = tessera.function(lambda x: tessera.nn.linear(x, 2, name="head"))
    net(torch.ones(1, 3))
    assert list(net.state_dict()) == ["head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("written", "shape"),
    [
        (lambda x: tessera.nn.linear(x, -1), (3, 5)),
        (lambda x: tessera.nn.linear(x, "six"), (3, 5)),
        (lambda x: tessera.nn.linear(x, 2), ()),
        (lambda x: tessera.nn.conv2d(x, 6, 3), (5, 5)),
        (lambda x: tessera.nn.conv1d(x, 6, 3, groups=4), (2, 5, 5)),
        (tessera.nn.batch_norm, (5,)),
    ],
)
def test_sizes_that_make_no_layer_are_refused(written, shape):
    net = tessera.function(written)
    with pytest.raises(LayerError):
        net(torch.randn(shape))
    assert not list(net.children())
