import pytest
import torch

from tessera.backend.stability import forms
from tessera.backend.stability.rules.log_tails import LOG_TAILS
from tessera.backend.stability.rules.logarithms import LOGARITHMS
from tests.backend.stability.harness import Rewritten
from tests.backend.stability.rows import Row, contract

SCORES = [[0.5, -1.0, 2.0], [0.1, 0.2, 0.4]]
FAR = [[200.0, 199.0, -200.0], [-300.0, -301.0, -310.0]]
X, WIDE = [-1.5, 0.3, 2.0], [-200.0, -17.0, 0.0, 30.0, 200.0]
MASK = torch.tensor([[True, True, False], [True, False, True]])

ROWS = {
    "log(exp) -> its exponent": Row(
        lambda x: torch.log(torch.exp(x)), (X,), (WIDE,), (lambda x: torch.log(torch.exp(x) + x * x),)
    ),
    "log(sigmoid) -> logsigmoid": Row(
        lambda x: torch.sigmoid(x).log(), (X,), (WIDE,), (lambda x: torch.log(torch.sigmoid(x) + 1e-6),)
    ),
    "log(softmax) -> log_softmax": Row(
        lambda x: torch.log(x.softmax(-1)), (SCORES,), (FAR,), (lambda x: torch.log(x.softmax(-1) + 1e-6),)
    ),
    "log of a view -> view of the log": Row(
        lambda x: x.softmax(-1)[:, 1:].T.log(), (SCORES,), (FAR,), (lambda x: x.abs().T.log(),)
    ),
    "log(where) -> where(log)": Row(
        lambda x: torch.log(torch.where(MASK, x.softmax(-1), 1.0)),
        (SCORES,),
        (FAR,),
        (lambda x: torch.log(torch.where(MASK, x.softmax(-1), x)),),
    ),
    "log(sum(exp)) -> logsumexp": Row(
        lambda x: torch.log(torch.exp(x).sum(-1)),
        (SCORES,),
        (FAR,),
        (
            lambda x: torch.log((torch.exp(x) + x * x).sum(-1)),
            lambda x: torch.log(torch.exp(x - x.amax(-1, keepdim=True)).sum(-1)),
        ),
    ),
    "log(cumsum(exp)) -> logcumsumexp": Row(
        lambda x: torch.log(torch.exp(x).cumsum(-1)),
        (SCORES,),
        ([[100.0, 101.0, 90.0], [-120.0, -121.0, -119.0]],),
        (lambda x: torch.log(x.square().cumsum(-1)),),
    ),
    "log(exp(a) @ exp(b)) -> logsumexp of a + b": Row(
        lambda a, b: torch.log(torch.exp(a) @ torch.exp(b)),
        ([[0.5, -1.0], [2.0, 0.25]], [[1.0, 0.0], [-0.5, 0.75]]),
        ([[500.0, -1.0], [-900.0, -901.0]], [[1.0, 0.0], [-200.0, 300.0]]),
        (lambda a, b: torch.log(torch.exp(a) @ (b * b)), lambda a, b: torch.log((a * a) @ (b * b))),
    ),
    "log(a exp(x) + b exp(y)) -> m + log(a exp(x - m) + b exp(y - m))": Row(
        lambda a, x: torch.log(a * torch.sigmoid(x) + (1 - a) * torch.sigmoid(-x)),
        ([0.5, 0.25, 0.9], [0.5, -2.0, 3.0]),
        ([0.0, 1.0, 0.5, 0.25], [40.0, -40.0, 30.0, 200.0]),
        (lambda a, x: torch.log(a * torch.sigmoid(x) + (1 - a)), lambda a, x: torch.log(a * a + x * x * a)),
    ),
    "log(det) -> logdet": Row(
        lambda x: torch.log(torch.det(x)),
        ([[2.0, 0.5], [0.25, 1.0]],),
        ([[2e25, 1e3], [1e2, 4e25]],),
        (lambda x: torch.log(torch.det(x) + 1),),
    ),
    "log(prod) -> sum(log)": Row(
        lambda x: torch.log(torch.prod(x, -1)),
        ([[1.0, 2.0, 3.0], [-1.0, -0.5, 4.0]],),
        ([[1e-20, 1e-21, 1e-10], [1e30, -1e20, -2.0]],),
        (lambda x: torch.log(torch.prod(x, -1) + 9),),
    ),
    "log((e^x + e^-x) / 2) -> logcosh": Row(
        lambda x: torch.log((torch.exp(x) + torch.exp(-x)) / 2),
        (X,),
        ([-200.0, -1e-3, 0.5, 1.5, 200.0],),
        (lambda x: torch.log((torch.exp(x) + torch.exp(-2 * x)) / 2),),
    ),
    "log(exp(a) - exp(b)) -> a + log1mexp(b - a)": Row(
        lambda x: torch.log(1 - torch.exp(-x)),
        ([0.3, 1.0, 4.0],),
        ([1e-9, 1e-3, 0.5, 30.0, 200.0],),
        (lambda x: torch.log(1 - 0.5 * torch.exp(-x)),),
    ),
    "log(x + sqrt(x^2 +- 1)) -> asinh, acosh": Row(
        lambda x: torch.log(x + torch.sqrt(x * x + 1)),
        (X,),
        ([-1e25, -300.0, -1e-9, 0.0, 1e-9, 3.0, 1e25],),
        (lambda x: torch.log(x + torch.sqrt(x * x + 2)), lambda x: torch.log(2 * x.abs() + torch.sqrt(x * x + 1))),
    ),
    "log(exp(a) + exp(b)) -> logaddexp, softplus": Row(
        lambda x: torch.log(1 + torch.exp(x)),
        (X,),
        (WIDE,),
        (lambda x: torch.log(1 + torch.exp(-torch.abs(x))), lambda x: torch.log(1 + torch.exp(x) + x * x)),
    ),
    "log(a b) -> log(a) + log(b)": Row(
        lambda x: torch.log(torch.sigmoid(x) / torch.sigmoid(-2 * x).sqrt()),
        (X,),
        ([-90.0, -3.0, 0.5, 60.0],),
        (lambda x: torch.log(x / (x + 9)),),
    ),
    "log(1 - sigmoid) -> logsigmoid(-x), and the like": Row(
        lambda x: torch.log1p(-torch.sigmoid(x)), (X,), (WIDE,), (lambda x: torch.log1p(-0.5 * torch.sigmoid(x)),)
    ),
    "xlogy(p, softmax) -> p log_softmax, and the like": Row(
        lambda x: torch.special.entr(x.softmax(-1)),
        (SCORES,),
        ([[30.0, 29.0, -70.0], [-30.0, -31.0, -90.0]],),
        (lambda x: torch.special.entr(x.abs()),),
    ),
    "log(x^2 + y^2) -> 2 log(hypot), of sums 2 log(norm)": Row(
        lambda x, y: torch.log(x**2 + y**2),
        ([-0.5, 0.3, 2.0], [3.0, 1.0, 0.25]),
        ([3e25, 4e-30, 0.5], [-4e25, 3e-30, 2.0]),
        (lambda x, y: torch.log(x**2 + y**4 + 1e-8), lambda x, y: torch.log(x**2 + y.abs())),
    ),
    "log(1 + u) -> log1p(u)": Row(
        lambda x: torch.log(1 + x),
        ([-0.5, 0.3, 2.0],),
        ([-1e-9, 1e-30, 1e-12, 1e-3],),
        (lambda x: torch.log(1.5 + x), torch.log1p),
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(tuple(rule for rule in LOGARITHMS if "rand" not in rule.name and rule not in LOG_TAILS), ROWS)


@pytest.mark.parametrize(
    "gumbel",
    [
        lambda x: x - torch.log(-torch.log(torch.rand_like(x))),
        lambda x: x - torch.log(-torch.rand(len(x)).log()),
        lambda x: x - torch.log(-torch.log(torch.empty_like(x).uniform_())),
    ],
)
def test_a_draw_of_0_is_one_just_above(gumbel):
    x = torch.tensor(X)
    rewritten = Rewritten(gumbel)
    torch.manual_seed(0)
    found = rewritten.call(x)
    torch.manual_seed(0)
    torch.testing.assert_close(found, gumbel(x))
    assert "log(rand)" in str(rewritten.notes)
    assert torch.isfinite(torch.log(-torch.log(forms.drawn(torch.zeros(1), 2.0**-25)))).all()
