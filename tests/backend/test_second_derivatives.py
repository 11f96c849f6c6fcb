"""What was compiled has the second derivatives of plain PyTorch, also outside of it."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

import tessera
from tessera.backend.second_derivatives import twice_differentiable


def _net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


def _penalty(net, called):
    """Gradients of a gradient penalty, in the weights and in the input."""
    net.zero_grad()
    between = (torch.arange(6.0).reshape(2, 3) / 5).requires_grad_()
    (slope,) = torch.autograd.grad(called(between).sum(), between, create_graph=True)
    ((slope.norm(dim=1) - 1) ** 2).sum().backward()
    return [p.grad for p in (*net.parameters(), between)]


def test_a_gradient_penalty():
    net = _net()
    compiled = tessera.compile(net)
    expected = _penalty(net, net)
    for _ in range(2):
        torch.testing.assert_close(_penalty(net, compiled), expected)
    assert compiled.report.rung == "one graph"


def test_what_is_no_leaf():
    net = _net()
    compiled, found = tessera.compile(net), []
    for called in (net, compiled, compiled):
        net.zero_grad()
        x = torch.ones(2, 3, requires_grad=True)
        (slope,) = torch.autograd.grad(called(x * 2).sum(), x, create_graph=True)
        slope.pow(2).sum().backward()
        found.append([p.grad for p in (*net.parameters(), x)])
    torch.testing.assert_close(found[1:], [found[0]] * 2)


def test_a_product_with_the_hessian_of_the_weights():
    net = _net()
    compiled, found = tessera.compile(net), []
    for called in (net, compiled, compiled):
        slopes = torch.autograd.grad(called(torch.ones(2, 3)).square().sum(), [*net.parameters()], create_graph=True)
        found.append(torch.autograd.grad(sum(s.square().sum() for s in slopes), [*net.parameters()]))
    torch.testing.assert_close(found[1:], [found[0]] * 2)


def test_a_batch_that_nobody_holds_is_kept_until_the_backward():
    compiled, weight = tessera.compile(lambda x, w: (x * w).exp()), torch.nn.Parameter(torch.ones(3))
    (slope,) = torch.autograd.grad(compiled(torch.full((3,), 2.0), weight).sum(), weight, create_graph=True)
    torch.testing.assert_close(torch.autograd.grad(slope.sum(), weight)[0], 4 * torch.full((3,), 2.0).exp())


def _several(x, y):
    return (x**3 * y).sum(), x.exp() * x.detach(), x.view(-1), y + 1


def test_derivatives_of_every_order_of_several_results():
    compiled, found = tessera.compile(_several), []
    for called in (_several, compiled, compiled):
        x, y = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor([3.0, 4.0])
        first, second, view, other = called(x, y)
        assert not other.requires_grad
        (slope,) = torch.autograd.grad(first + second.sum() + (view**2).sum(), x, create_graph=True)
        (curve,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        (third,) = torch.autograd.grad(curve.sum(), x)
        found.append([slope.detach(), curve.detach(), third])
    torch.testing.assert_close(found[1:], [found[0]] * 2)


def test_a_graph_that_was_freed_says_so():
    compiled, x = tessera.compile(lambda x: (x**3).sum()), torch.tensor([2.0], requires_grad=True)
    y = compiled(x)
    y.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(y, x, create_graph=True)


def test_one_tensor_that_is_given_twice():
    compiled, x = tessera.compile(lambda a, b: a * a * b), torch.tensor([2.0], requires_grad=True)
    (slope,) = torch.autograd.grad(compiled(x, x), x, create_graph=True)
    assert slope.item() == 12
    assert torch.autograd.grad(slope, x)[0].item() == 12


def test_a_backward_before_that_leaves_the_graph():
    compiled, x = tessera.compile(lambda x: (x**3).sum()), torch.tensor([2.0], requires_grad=True)
    result = compiled(x)
    result.backward(retain_graph=True)
    (slope,) = torch.autograd.grad(result, x, create_graph=True)
    assert torch.autograd.grad(slope, x)[0].item() == 12


def _refuses(called, x, between=lambda: None):
    result = called(x).sum()
    between()
    (slope,) = torch.autograd.grad(result, x, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        slope.sum().backward()


def test_what_cannot_run_again_says_so(monkeypatch):
    x = torch.ones(3, requires_grad=True)
    dropped = tessera.compile(lambda x: torch.nn.functional.dropout(x, 0.5) ** 3)
    torch.manual_seed(0)
    _refuses(dropped, x)
    after = torch.rand(1)
    torch.manual_seed(0)
    dropped(x)
    assert torch.equal(torch.rand(1), after)  # what was tried left no trace
    norm = torch.nn.BatchNorm1d(3)
    counting = tessera.compile(lambda x: norm(x.expand(2, 3) * torch.tensor([[1.0], [2.0]])) ** 3)
    _refuses(counting, x)
    assert norm.num_batches_tracked == 1


def test_a_weight_that_was_changed_meanwhile():
    weight = torch.nn.Parameter(torch.ones(3))

    def change():
        with torch.no_grad():
            weight.mul_(2)

    _refuses(tessera.compile(lambda x: (x + weight) ** 3), torch.ones(3, requires_grad=True), change)


def test_nothing_is_kept_after_a_backward():
    kept = []
    compiled = tessera.compile(lambda x, y: (x * y).exp())
    x, y = torch.ones(3, requires_grad=True), torch.ones(3)
    result = compiled(x, y).sum()
    kept.append(weakref.ref(y.untyped_storage()))
    result.backward()
    del y
    gc.collect()
    assert result.grad_fn is not None
    assert kept[0]() is None


def test_a_state_that_is_written_to_can_die():
    compiled = tessera.compile(lambda x: x * 2)
    state = torch.ones(3, requires_grad=True) * 1
    state += compiled(state)
    kept = weakref.ref(state)
    del state
    assert kept() is None


def test_a_graph_that_writes_is_left_as_it_is():
    def plain(x):
        return x

    graph = torch.fx.symbolic_trace(lambda x: x.mul_(2))
    assert twice_differentiable(plain, plain, graph) is plain
