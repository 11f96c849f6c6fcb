import math

import pytest
import torch
from torch.nn import functional as F

from tessera.backend.stability.rules.conventions import CONVENTIONS
from tests.backend.stability.harness import Rewritten, value_and_gradients

P = torch.tensor([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
Q = torch.tensor([[0.0, 0.5, 0.5], [0.2, 0.3, 0.5]])
Y = torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.0]])
X = torch.tensor([[-200.0, 1.0, 200.0], [0.5, 40.0, -40.0]])
SEEN = torch.tensor([[False, False, False], [True, False, True]])
CASES = {
    "softmax of rows of -inf -> zeros": [
        (lambda x: F.softmax(x.masked_fill(~SEEN, -math.inf), -1), X),
        (lambda x: torch.where(SEEN, x, -math.inf).softmax(dim=1), X),
        (lambda x: torch.softmax(x / 2 + torch.zeros_like(x).masked_fill(~SEEN, -math.inf), -1), X),
        (lambda x: torch.softmax(x + SEEN.float().log(), -1), X),
    ],
    "binary_cross_entropy(sigmoid(x)) -> of logits": [
        (lambda x: F.binary_cross_entropy(torch.sigmoid(x), Y.to(x)), X),
        (lambda x: F.binary_cross_entropy(x.sigmoid(), Y.to(x), Q.to(x), reduction="sum"), X),
        (lambda x: F.binary_cross_entropy(x.sigmoid(), Y.to(x), reduction="none"), X),
    ],
    "kl_div(log q, softmax) -> sum(p (log p - log q)), log p the log_softmax": [
        (lambda x: F.kl_div(Q.to(x).clamp(min=0.1).log(), F.softmax(x, -1), reduction="batchmean"), X),
        (lambda x: F.kl_div(F.log_softmax(x.flip(-1), -1), torch.softmax(x, -1), reduction="none"), X),
        (lambda x: F.kl_div(x.sigmoid().log(), x.softmax(-1), reduction="sum"), X),
    ],
    "p log(p) -> 0 where p = 0": [
        (lambda p: -(p * torch.log(p)).sum(-1), P),
        (lambda p: p * p.log2(), P),
        (lambda p: p * torch.log(p / Q), P),
        (lambda p: p * (torch.log(p) - torch.log(Q)), P),
    ],
    "y log(p) + (1 - y) log(1 - p) -> 0 where 0 log(0)": [
        (lambda p: -(Y * torch.log(p) + (1 - Y) * torch.log(1 - p)), torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.2]])),
    ],
    "sum(y log(p)) -> 0 where y = p = 0": [(lambda p: -(Y * torch.log(p)).sum(), torch.where(Y == 0, 0.0, 0.5))],
    "mean(y log(p)) -> 0 where y = p = 0": [(lambda p: (Y * p.log()).mean(-1), torch.where(Y == 0, 0.0, 0.5))],
}
HELD_BACK = [
    lambda p: p * torch.log(p + 1e-8),
    lambda p: (Y * torch.log(p.clamp(min=1e-7))).sum(),
    lambda p: Y * torch.log(p),
    lambda p: torch.log(p).sum(),
    lambda p: F.softmax(p.masked_fill(SEEN, -1e9), -1),
    lambda p: F.binary_cross_entropy(p, Y),
    lambda p: (p * torch.log(p.exp() + 1)).sum() * 0,
]


def test_every_rule_has_cases():
    assert sorted(CASES) == sorted(rule.name for rule in CONVENTIONS)


@pytest.mark.parametrize(("name", "at"), [(name, at) for name, cases in CASES.items() for at in range(len(cases))])
def test_it_is_finite_and_what_it_was_where_that_was_finite(name, at):
    function, hostile = CASES[name][at]
    rewritten = Rewritten(function)
    value, (gradient,) = value_and_gradients(rewritten.call, [hostile], [0])
    assert any(name in note for note in rewritten.notes), rewritten.notes
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    fine = torch.rand(2, 3, dtype=torch.float64) * 0.8 + 0.1
    plain, _ = value_and_gradients(function, [fine], [0])
    found = value_and_gradients(rewritten.call, [fine], [0])
    known = torch.isfinite(plain)
    torch.testing.assert_close(found[0][known], plain[known])


@pytest.mark.parametrize("at", range(len(HELD_BACK)))
def test_it_holds_back(at):
    rewritten = Rewritten(HELD_BACK[at])
    rewritten.call(P.clone().requires_grad_())
    assert not any(rule.name in note for rule in CONVENTIONS for note in rewritten.notes), rewritten.notes


def test_a_label_that_is_trained_keeps_its_gradient_where_p_is_not_0():
    def function(y, p):
        return (y * torch.log(p)).sum()

    y, p = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 0.5, 0.5])
    _, (of_y, of_p) = value_and_gradients(Rewritten(function).call, [y, p], [0, 1])
    torch.testing.assert_close(of_y, torch.tensor([0.0, math.log(0.5), math.log(0.5)]))
    torch.testing.assert_close(of_p, torch.tensor([0.0, 0.0, 2.0]))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_is_torchs(reduction):
    x, y = torch.randn(4, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
    rewritten = Rewritten(lambda x: F.binary_cross_entropy(torch.sigmoid(x), y, reduction=reduction))
    torch.testing.assert_close(rewritten.call(x), F.binary_cross_entropy_with_logits(x, y, reduction=reduction))
