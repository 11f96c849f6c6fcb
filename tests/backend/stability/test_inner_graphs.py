import operator

import pytest
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import tessera
from tests.backend.attention.captures import capture
from tests.backend.stability.harness import Rewritten

X = torch.tensor([[200.0, 0.0, -200.0], [1.0, 0.5, -90.0]])
YES, NO = torch.ones(2), -torch.ones(2)


def branch(x, t):
    p = torch.softmax(x, -1)
    return torch.cond(t.sum() > 0, lambda: torch.log(p), lambda: p * 2)


def both_branches(x, t):
    p = torch.sigmoid(x.t())
    return torch.cond(t.sum() > 0, lambda: torch.log(p).t(), lambda: torch.log(1 - p).t())


def nested(x, t):
    e = torch.exp(x)
    return torch.cond(
        t.sum() > 0,
        lambda: torch.cond(t[0] > 0, lambda: torch.log(e / e.sum(-1, keepdim=True)), lambda: x * 1),
        lambda: torch.log(e + 1),
    )


def checkpointed(x, t):
    p = torch.softmax(x, -1)
    return checkpoint(lambda p, t: torch.log(p) + 0 * t.sum(), p, t, use_reentrant=False)


CALLING = {
    branch: (lambda x: x.log_softmax(-1), lambda x: 2 * x.softmax(-1)),
    both_branches: (F.logsigmoid, lambda x: F.logsigmoid(-x)),
    nested: (lambda x: x.log_softmax(-1), lambda x: -F.logsigmoid(-x)),
    checkpointed: (lambda x: x.log_softmax(-1), lambda x: x.log_softmax(-1)),
}


@pytest.mark.parametrize("function", CALLING, ids=operator.attrgetter("__name__"))
def test_what_is_computed_before_a_call_is_known_in_it(function):
    for t, wanted in zip((YES, NO), CALLING[function], strict=True):
        rewritten = Rewritten(function)
        x = X.clone().requires_grad_()
        found = rewritten.call(x, t)
        assert rewritten.notes
        torch.testing.assert_close(found, wanted(X))
        (gradient,) = torch.autograd.grad(found.sum(), x)
        torch.testing.assert_close(gradient, torch.func.grad(lambda x, f=wanted: f(x).sum())(X))


def test_it_compiles():
    compiled = tessera.compile(both_branches)
    for t, wanted in zip((YES, NO), CALLING[both_branches], strict=True):
        torch.testing.assert_close(compiled(X, t), wanted(X))


def test_what_no_rule_uses_is_taken_out_again():
    def function(x, t):
        p = torch.softmax(x, -1)
        return torch.cond(t.sum() > 0, lambda: torch.log(1 + torch.exp(x)), lambda: p * 2)

    captured = capture(function, X, YES)
    (call,) = captured.graph_module.graph.find_nodes(op="call_function", target=torch.ops.higher_order.cond)
    before = len(call.args[3])
    rewritten = Rewritten(function)
    rewritten.call(X, YES)
    assert len(rewritten.notes) == 1
    (call,) = rewritten.graphs[0].graph.find_nodes(op="call_function", target=torch.ops.higher_order.cond)
    assert len(call.args[3]) == before
    assert not rewritten.graphs[0].cond_false_0.graph.find_nodes(op="call_function", target=torch.softmax)


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.log(1 + torch.exp(x))

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * torch.log(torch.softmax(x, -1))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # Dynamo does
def test_functions_with_their_own_gradient_are_left_alone():
    rewritten = Rewritten(lambda x: 1 * _Softplus.apply(x))
    x = torch.tensor([0.5, 100.0]).requires_grad_()
    found = rewritten.call(x)
    assert not rewritten.notes
    assert found.tolist()[1] == float("inf")


def test_a_body_that_two_calls_share_is_rewritten_once():
    @torch.compiler.nested_compile_region
    def body(p):
        return torch.log(torch.softmax(p, -1))

    rewritten = Rewritten(lambda x: body(x) + body(x * 2))
    torch.testing.assert_close(rewritten.call(X), X.log_softmax(-1) + (2 * X).log_softmax(-1))
    assert len(rewritten.notes) == 1
