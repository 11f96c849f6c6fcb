"""Layers made in the body are made once, and nothing else of the function changes."""

from __future__ import annotations

import functools
import inspect

import pytest
import torch
from torch import nn

import tessera
from tessera.errors import LayerError
from tessera.nn.own_layers import with_own_layers

SCALE = 3


def plain(x):
    return x * SCALE


def with_layers(x, width=4, *, bias=True):
    layer = tessera.nn.Linear(5, width, bias=bias)
    layers = nn.Sequential(nn.Linear(width, 2), nn.ReLU())
    return layers(layer(x)) * SCALE


def test_a_function_without_layers_is_left_alone():
    assert with_own_layers(plain) is plain
    partial = functools.partial(plain)
    assert with_own_layers(partial) is partial


def test_what_else_the_function_is_stays():
    changed = with_own_layers(with_layers)
    assert changed is not with_layers
    assert inspect.signature(changed) == inspect.signature(with_layers)
    assert changed.__globals__ is with_layers.__globals__
    assert changed.__code__.co_qualname == with_layers.__code__.co_qualname
    assert {line for *_, line in changed.__code__.co_lines()} <= {None, *range(21, 30)}
    assert changed(torch.randn(3, 5)).shape == (3, 2)  # outside of a tessera.function it makes them anew


def test_layers_are_kept():
    net, x = tessera.function(with_layers), torch.randn(3, 5)
    first = net(x)
    state = torch.get_rng_state()
    assert torch.equal(net(x), first)
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn for layers that are not made
    assert [name for name, _ in net.named_children()] == ["linear", "sequential"]
    assert torch.equal(first, net.sequential(net.linear(x)) * 3)
    assert torch.equal(torch.compile(net, fullgraph=True, backend="eager")(x), first)


@pytest.mark.parametrize("changed", [{"width": 6}, {"bias": False}])
def test_other_arguments_are_refused(changed):
    net, x = tessera.function(with_layers), torch.randn(3, 5)
    net(x)
    with pytest.raises(LayerError, match="This call of the function 'with_layers'"):
        net(x, **changed)


def test_in_a_loop_and_with_a_closure():
    width, Layer = 5, nn.Linear

    @tessera.function
    def net(x):
        for _ in range(3):
            x = Layer(width, width)(x)
        return [Layer(width, n)(x) for n in (1, 2)]

    x = torch.randn(3, 5)
    assert [y.shape[1] for y in net(x)] == [1, 2]
    assert len(list(net.children())) == 5
    assert all(map(torch.equal, net(x), net(x)))


def test_the_line_of_an_error_is_the_users():
    @tessera.function
    def net(x):
        x = nn.Linear(5, 4)(x)
        raise KeyError(x.shape)

    with pytest.raises(KeyError) as raised:
        net(torch.randn(3, 5))
    assert raised.traceback[-1].lineno == inspect.getsourcelines(net._body.function)[1] + 2


def helper(x):
    return nn.Linear(5, 4)(x)


def test_layers_made_in_a_helper_are_refused():
    @tessera.function
    def net(x):
        return helper(x)

    with pytest.raises(LayerError, match=r"makes a Linear that would be another one in every call") as raised:
        net(torch.randn(3, 5))
    assert "test_own_layers.py" in str(raised.value)


def test_without_source_layers_in_the_body_are_refused():
    names = {"nn": nn, "__name__": "typed_in"}
    exec("def net(x):\n    return nn.Linear(5, 4)(x)", names)
    with pytest.raises(LayerError, match="another one in every call"):
        tessera.function(names["net"])(torch.randn(3, 5))


def test_a_local_name_is_not_the_global_one():
    @tessera.function
    def net(x):
        helper = torch.relu
        return nn.Linear(5, 4)(helper(x))

    assert net(torch.randn(3, 5)).shape == (3, 4)
