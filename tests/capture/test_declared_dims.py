from __future__ import annotations

import copy
import random

import pytest
import torch
from torch import nn

import tessera
from tessera import Tensor, dims
from tessera.capture.declared_dims import DeclaredDims
from tessera.errors import ShapeError
from tessera.program import Report

B, S, D = dims("B S D")


def softmax_of(x: Tensor[B, S, 8], w: Tensor[8, D]) -> Tensor[B, S, D]:
    y = torch.nn.functional.layer_norm(x, (8,)) @ w
    return torch.softmax(y, 1) + y.mean(1, keepdim=True)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, x: Tensor[B, S, 8]) -> Tensor[B, S, 4]:
        return self.layers(x)


@pytest.mark.parametrize("first", [(1, 1), (5, 7), (1, 9)], ids=str)
def test_declared_sizes_are_compiled_once(first):
    draw, compiled, w = random.Random(0), tessera.compile(softmax_of), torch.randn(8, 5)
    sizes = [first, *((draw.randint(1, 200), draw.randint(1, 200)) for _ in range(20)), (1, 200), (200, 1), (0, 3)]
    for size in sizes:
        x = torch.randn(*size, 8)
        torch.testing.assert_close(compiled(x, w), softmax_of(x, w))
        assert not hasattr(x, "_dynamo_weak_dynamic_indices")
    assert len(compiled.report.compilations) == 1


def test_gradients_too():
    net = Net()
    compiled = tessera.compile(net)
    for size in [(1, 6), (3, 5), (7, 1)]:
        x = torch.randn(*size, 8)
        compiled(x).square().sum().backward()
        found = [parameter.grad.clone() for parameter in net.parameters()]
        net.zero_grad()
        net(x).square().sum().backward()
        torch.testing.assert_close(found, [parameter.grad for parameter in net.parameters()])
        net.zero_grad()
    assert len(compiled.report.compilations) == 2  # forward and backward


def test_what_was_declared_is_checked_when_it_is_captured():
    with pytest.raises(ShapeError, match="declared 8"):
        tessera.compile(softmax_of)(torch.randn(2, 3, 9), torch.randn(9, 5))


def test_without_declarations_nothing_is_marked():
    def plain(x):
        return x

    def of_numbers(x: Tensor[3, 4]):
        return x

    for function in (plain, of_numbers, nn.Linear(2, 2)):
        with DeclaredDims(function, Report("f")).as_symbols((torch.ones(3, 4),), {}):
            assert torch.fx.experimental._config.backed_size_oblivious is False
    with DeclaredDims(softmax_of, Report("f")).as_symbols((torch.ones(1, 2, 8), torch.ones(8, 3)), {}):
        assert torch.fx.experimental._config.backed_size_oblivious is True


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x: Tensor[B, 8]) -> Tensor[B, 3]:
        return self.layers(x)


@pytest.mark.parametrize("first", [1, 6])
def test_a_training_step_is_compiled_once_for_all_declared_sizes(first):
    torch.manual_seed(0)
    net = Classifier()
    twin = copy.deepcopy(net)
    step = tessera.train_step(net, "cross_entropy", torch.optim.SGD(net.parameters(), lr=0.1))
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for size in (first, 5, 1, 32, 7):
        x, labels = torch.randn(size, 8), torch.randint(0, 3, (size,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(twin(x), labels)
        loss.backward()
        optimizer.step()
        torch.testing.assert_close(step(x, labels), loss.detach())
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    assert len(step.report.compilations) == 1
    assert step.report.step_downs == []


def test_a_size_that_was_not_declared_is_named_when_it_is_compiled_again():
    compiled = tessera.compile(nn.Linear(4, 2))
    compiled(torch.ones(3, 4))
    assert not any("compiled again" in note for c in compiled.report.compilations for note in c.notes)
    compiled(torch.ones(5, 4))
    notes = [note for c in compiled.report.compilations for note in c.notes]
    said = 'compiled again, because input came as [5, 4] after [3, 4]; declared as input: Tensor["B", 4] it is compiled'
    assert any(note.startswith(said) for note in notes)
