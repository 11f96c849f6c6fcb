import pytest
import torch

from tessera.backend.stability.rules.quotients import QUOTIENTS
from tests.backend.stability.harness import Rewritten, value_and_gradients
from tests.backend.stability.rows import Row, contract

SCORES = [[0.5, -1.0, 2.0], [0.1, 0.2, 0.4]]
FAR = [[200.0, 199.5, 190.0], [-300.0, -301.0, -305.0]]
X, WIDE = [-1.5, 0.3, 2.0], [-200.0, -17.0, 0.0, 30.0, 200.0]
WEIGHTS = [[1.0, 0.5, 2.0], [0.0, 1.0, 0.25]]
VECTORS = [[3e25, 4e25, 1e25], [3e-25, 4e-25, 1e-25], [1.0, 2.0, 2.0]]
OTHERS = [[1e25, -4e24, 2e25], [1e-25, 4e-26, -1e-25], [2.0, 1.0, -1.0]]
OFFSET = [[10000.0, 10001.0, 10002.5], [-3000.25, -3000.5, -3000.0]]


def length(x):
    return torch.sqrt((x * x).sum(-1, keepdim=True))


ROWS = {
    "exp(x) / sum(exp(x)) -> softmax": Row(
        lambda x: torch.exp(x) / torch.exp(x).sum(-1, keepdim=True),
        (SCORES,),
        (FAR,),
        (
            lambda x: torch.exp(x) / torch.exp(2 * x).sum(-1, keepdim=True),
            lambda x: torch.exp(x) / (torch.exp(x).sum(-1, keepdim=True) + 1e-6),
        ),
    ),
    "w exp(x) / sum(w exp(x)) -> the same of x - max(x)": Row(
        lambda x, w: w * torch.exp(x) / (w * torch.exp(x)).sum(-1, keepdim=True),
        (SCORES, WEIGHTS),
        ([[200.0, 199.5, 198.0], [-300.0, -301.0, -299.0]], [[1.0, 0.5, 2.0], [0.25, 1.0, 0.5]]),
        (lambda x, w: w * torch.exp(x) / (w * w * torch.exp(x)).sum(-1, keepdim=True),),
    ),
    "(e^x - e^y) / (e^x + e^y) -> tanh((x - y) / 2)": Row(
        lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1),
        (X,),
        ([*WIDE, 1e-9],),
        (lambda x: (torch.exp(2 * x) - 1) / (torch.exp(x) + 1),),
    ),
    "exp(x) / (exp(x) + exp(y)) -> sigmoid(x - y)": Row(
        lambda x: torch.exp(x) / (1 + torch.exp(x)),
        (X,),
        (WIDE,),
        (lambda x: torch.exp(x) / (1 + torch.exp(2 * x)), lambda x: 1 / (1 + torch.exp(x) + x * x)),
    ),
    "sigmoid(x) / sigmoid(-x) -> exp(x)": Row(
        lambda x: torch.sigmoid(x) / (1 - torch.sigmoid(x)),
        (X,),
        ([-80.0, -5.0, 0.0, 17.0, 80.0],),
        (lambda x: torch.sigmoid(x) / torch.sigmoid(-2 * x), lambda x: torch.sigmoid(x) * torch.sigmoid(-x)),
    ),
    "exp(x) / (exp(x) + exp(y) + exp(z)) -> the same of x - m, y - m, z - m": Row(
        lambda x, y, z: torch.exp(y) / (torch.exp(x) + 2 * torch.exp(y) + torch.exp(z)),
        ([0.5, -1.0], [0.25, 2.0], [1.0, 0.0]),
        ([300.0, -200.0, 1.0], [299.0, -201.0, 0.0], [-300.0, -199.0, 0.5]),
        (
            lambda x, y, z: torch.exp(2 * y) / (torch.exp(x) + torch.exp(y) + torch.exp(z)),
            lambda x, y, z: torch.exp(y) / (torch.exp(x) + torch.exp(y) + z),
        ),
    ),
    "sum(v exp(x)) / sum(exp(x)) -> sum(v softmax(x))": Row(
        lambda x, v: (v * torch.exp(x)).sum(-1) / torch.exp(x).sum(-1),
        (SCORES, WEIGHTS),
        ([[200.0, 199.5, 198.0], [-300.0, -301.0, -299.0]], [[1.0, 0.5, 2.0], [0.25, 1.0, 0.5]]),
        (
            lambda x, v: (v * torch.exp(x)).sum(-1) / torch.exp(v).sum(-1),
            lambda x, v: (v * torch.exp(x)).sum(-1) / (torch.exp(x).sum(-1) + 1e-6),
        ),
    ),
    "sum(a b) / (|a| |b|) -> cosine": Row(
        lambda a, b: (a * b).sum(-1, keepdim=True) / (length(a) * length(b)),
        (SCORES, WEIGHTS),
        (VECTORS, OTHERS),
        (lambda a, b: (a * b).sum(-1, keepdim=True) / (length(a) * length(a)),),
    ),
    "x / |x| -> x' / |x'|, x' = x / max|x|": Row(
        lambda x: x / length(x), (SCORES,), (OTHERS,), (lambda x: x / (length(x) + 1e-6), lambda x: 1 / length(x))
    ),
    "sqrt(mean(x^2) - mean(x)^2) -> root mean square of x - mean(x)": Row(
        lambda x: torch.sqrt((x * x).mean(-1) - x.mean(-1) ** 2),
        (SCORES,),
        (OFFSET,),
        (lambda x: torch.sqrt((x * x).mean(-1) - x.mean(-1) ** 2 + 1e-6),),
    ),
    "sqrt(sum(x^2)) -> norm(x)": Row(
        lambda x: torch.sqrt((x**2).sum(-1)),
        (SCORES,),
        (VECTORS,),
        (lambda x: torch.sqrt((x**2).sum(-1) + 1e-6), lambda x: torch.sqrt((x**3).sum(-1))),
    ),
    "exp(-x^2) / erfc(x) -> by the continued fraction of erfc for x > 3": Row(
        lambda x: torch.exp(-x * x) / (1 - torch.erf(x)),
        (X,),
        ([30.0, 12.0, 5.0, 1.0, -0.5, -3.0],),
        (lambda x: torch.exp(-x * x) / torch.erfc(2 * x), lambda x: torch.exp(-x) / torch.erfc(x)),
    ),
    "sum(x ** p) ** (1 / p) -> the same of x / max|x|": Row(
        lambda x: (x.abs() ** 3).sum(-1) ** (1 / 3) + (x**4).mean(-1) ** 0.25,
        (SCORES,),
        (VECTORS,),
        (lambda x: (x.abs() ** 3).sum(-1) ** 0.25, lambda x: (x**4).sum(-1) ** 0.5),
    ),
    "sqrt(x^2 + y^2) -> hypot(x, y)": Row(
        lambda x, y: torch.sqrt(x * x + y * y),
        (X, [0.5, -1.0, 1.5]),
        ([3e25, 3e-25, -5.0], [4e25, 4e-25, 12.0]),
        (lambda x, y: torch.sqrt(x * x + 1e-6), lambda x, y: torch.sqrt(x * x + y.abs())),
    ),
    "prod(x) ** c -> exp(c sum(log|x|))": Row(
        lambda x: x.prod(-1) ** (1 / 3),
        ([[1.0, 2.0, 3.0], [-1.0, -0.5, 4.0]],),
        ([[1e-20, 1e-20, 1e-10], [1e20, 1e20, 2.0]],),
        (lambda x: x.prod(-1) ** 2,),
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(QUOTIENTS, ROWS)


def cosine_to_one_vector(x):
    other = torch.arange(3.0)
    return (x * other).sum(-1, keepdim=True) / (length(x) * length(other))


@pytest.mark.parametrize("function", [length, lambda x: x / length(x), cosine_to_one_vector])
def test_lengths_directions_and_cosines_of_nothing_have_the_gradient_0(function):
    value, (gradient,) = value_and_gradients(Rewritten(function).call, [torch.zeros(2, 3)], [0])
    assert not value.any()
    assert torch.isfinite(gradient).all()
