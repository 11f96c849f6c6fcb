import operator

import pytest
import torch
from torch.nn import functional as F

import tessera
from tests.backend.stability.harness import Rewritten

X = torch.tensor([[200.0, 0.0, -200.0], [1.0, 0.5, -90.0]])
YES, NO = torch.ones(2), -torch.ones(2)


def log_of_chosen(x, t):
    p = torch.cond(t.sum() > 0, lambda: torch.softmax(x, -1), lambda: torch.sigmoid(x))
    return torch.log(p)


def in_steps(x, t):
    p = torch.cond(t.sum() > 0, lambda: torch.sigmoid(x), lambda: torch.sigmoid(-x))
    return t[0] * torch.log(1 - p) + p


def of_two(x, t):
    p, total = torch.cond(
        t.sum() > 0,
        lambda: (torch.exp(x), torch.exp(x).sum(-1, keepdim=True)),
        lambda: (torch.exp(-x), torch.exp(-x).sum(-1, keepdim=True)),
    )
    return torch.log(p / total)


WANTED = {
    log_of_chosen: (lambda x: x.log_softmax(-1), F.logsigmoid),
    in_steps: (lambda x: F.logsigmoid(-x) + x.sigmoid(), lambda x: (-x).sigmoid() - F.logsigmoid(x)),
    of_two: (lambda x: x.log_softmax(-1), lambda x: (-x).log_softmax(-1)),
}


@pytest.mark.parametrize("function", WANTED, ids=operator.attrgetter("__name__"))
def test_what_a_condition_returns_is_known_behind_it(function):
    for t, wanted in zip((YES, NO), WANTED[function], strict=True):
        rewritten = Rewritten(function)
        x = X.clone().requires_grad_()
        found = rewritten.call(x, t)
        assert rewritten.notes
        torch.testing.assert_close(found, wanted(X))
        (gradient,) = torch.autograd.grad(found.sum(), x)
        torch.testing.assert_close(gradient, torch.func.grad(lambda x, f=wanted: f(x).sum())(X))


def test_it_compiles():
    torch.compiler.reset()
    compiled = tessera.compile(log_of_chosen)
    for t, wanted in zip((YES, NO), WANTED[log_of_chosen], strict=True):
        torch.testing.assert_close(compiled(X, t), wanted(X))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, t: torch.log(torch.cond(t.sum() > 0, lambda: x * 2, lambda: x - 7)),
        lambda x, t: torch.cond(t.sum() > 0, lambda: torch.softmax(x, -1), lambda: x + 1) * 2,
        lambda x, t: torch.log(1 + torch.cond(t.sum() > 0, lambda: x * 2, lambda: x + 1)),
    ],
)
def test_where_no_rule_gains_by_it_all_stays_where_it_is(function):
    rewritten = Rewritten(function)
    x = X.abs() + 0.5
    torch.testing.assert_close(rewritten.call(x, YES), function(x, YES))
    (call,) = rewritten.graphs[0].graph.find_nodes(op="call_function", target=torch.ops.higher_order.cond)
    assert len(call.meta["example_value"]) == 1


def test_what_is_written_to_stays_where_it_is():
    def function(x, t):
        p = torch.cond(t.sum() > 0, lambda: torch.softmax(x, -1), lambda: torch.sigmoid(x))
        q = torch.log(p)
        p.add_(1)
        return p + q

    x = torch.randn(2, 3)
    torch.testing.assert_close(Rewritten(function).call(x, YES), function(x, YES))
