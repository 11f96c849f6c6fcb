import torch

from tessera.backend.stability.rules.complements import COMPLEMENTS
from tessera.backend.stability.rules.differences import DIFFERENCES
from tessera.backend.stability.rules.moments import MOMENTS
from tessera.backend.stability.rules.near_one import NEAR_ONE
from tessera.backend.stability.rules.removable import REMAINDERS
from tests.backend.stability.rows import Row, contract

ELSEWHERE = (*COMPLEMENTS, *MOMENTS, *NEAR_ONE, *REMAINDERS)
X = [-1.5, 0.3, 2.0]
TINY = [-1e-9, 1e-12, 1e-3, 0.7]
ROWS_FAR = [[200.0, 199.0, -200.0], [-300.0, -301.0, -310.0]]
OFFSET = [[10000.0, 10001.0, 10002.5], [-3000.25, -3000.5, -3000.0]]

ROWS = {
    "x - log(sum(exp(x))) -> log_softmax": Row(
        lambda x: x - torch.log(torch.exp(x).sum(-1, keepdim=True)),
        ([[0.5, -1.0, 2.0]],),
        (ROWS_FAR,),
        (lambda x: 2 * x - torch.log(torch.exp(x).sum(-1, keepdim=True)),),
    ),
    "x[:, i] - log(sum(exp(x))) -> log_softmax(x)[:, i]": Row(
        lambda x: x[:, 1] - torch.log(torch.exp(x).sum(-1)),
        ([[0.5, -1.0, 2.0], [1.0, 0.25, -3.0]],),
        ([[800.0, 799.0, -200.0], [-3000.0, -3001.0, -3003.0]],),
        (
            lambda x: 2 * x[:, 1] - torch.log(torch.exp(x).sum(-1)),
            lambda x: x[:, 1].sum() - torch.log(torch.exp(x).sum(-1)),
            lambda x: x[1, :2] - torch.log(torch.exp(x).sum(-1)),
            lambda x: x[:, 1:2] - torch.log(torch.exp(x).sum(-1)),
        ),
    ),
    "a^2 + b^2 - 2 a b -> (a - b)^2": Row(
        lambda x, y: (x * x).sum(-1) + (y * y).sum(-1) - 2 * (x * y).sum(-1),
        ([X], [[0.5, 0.25, 1.0]]),
        ([[1000.0, 2000.0], [3.0, 4.0]], [[1000.125, 2000.25], [3.001, 4.5]]),
        (
            lambda x, y: (x * x).sum(-1) + (y * y).sum(-1) - (x * y).sum(-1),
            lambda x, y: (x * x).sum(-1) + (y * y).sum(0).sum() - 2 * (x * y).sum(-1),
            lambda x, y: (x[:, :1] ** 2).sum(-1) + (y * y).sum(-1) - 2 * (x[:, :1] * y).sum(-1),
        ),
    ),
    "exp(a) - exp(b) -> exp(b) expm1(a - b), sinh": Row(
        lambda x, h: torch.exp(x + h) - torch.exp(x),
        (X, [0.5, 0.25, 1.0]),
        (X, [1e-12, 1e-6, 1e-3]),
        (lambda x, h: torch.exp(h) - torch.exp(x),),
    ),
    "mean(x y) - mean(x) mean(y) -> mean((x - mean(x)) (y - mean(y)))": Row(
        lambda x: (x * x).mean(-1) - x.mean(-1) ** 2,
        ([[0.5, -1.0, 2.0]],),
        (OFFSET,),
        (lambda x: (x * x).mean(-1) - 0.5 * x.mean(-1) ** 2, lambda x: (x * x).mean(-1) - x.sum(-1) ** 2),
    ),
    "sqrt(a) - sqrt(b) -> (a - b) / (sqrt(a) + sqrt(b))": Row(
        lambda x: torch.sqrt(x * x + 1) - x,
        (X,),
        ([-1e8, -3.0, 0.5, 40.0, 1e8],),
        (lambda x: torch.sqrt(x * x + 1) - 0.5 * x, lambda x: torch.sqrt(x + 9) - torch.sqrt(2 * x + 8)),
    ),
    "sigmoid(a) - sigmoid(b) -> sigmoid(a) sigmoid(-b) (1 - exp(b - a))": Row(
        lambda x: torch.sigmoid(x + 1) - torch.sigmoid(x - 1),
        (X,),
        ([-60.0, -3.0, 0.5, 17.0, 60.0],),
        (lambda x: torch.sigmoid(x + 1) - torch.sigmoid(x * x), lambda x: torch.sigmoid(x) - 2 * torch.sigmoid(x + 1)),
    ),
    "erfc(x) - erfc(y) -> erfc(-y) - erfc(-x) where both are below 0": Row(
        lambda x, y: 0.5 * (1 + torch.erf(x)) - 0.5 * (1 + torch.erf(y)),
        (X, [0.5, -0.25, 1.0]),
        ([5.0, -4.0, 1.0, 3.0], [4.0, -6.0, -1.0, 6.0]),
        (lambda x, y: torch.erf(x) - 0.5 * torch.erf(y),),
    ),
    "1/a - 1/b -> (b - a) / (a b)": Row(
        lambda x: 1 / x - 1 / (x + 1), (X,), ([1e-3, 30.0, 1e8],), (lambda x: 1 / x - 1 / (2 * x + 5),)
    ),
    "1/sqrt(a) - 1/sqrt(b) -> (b - a) / (sqrt(a) sqrt(b) (sqrt(a) + sqrt(b)))": Row(
        lambda x: 1 / torch.sqrt(x) - (x + 1) ** -0.5,
        ([0.5, 3.0, 2.0],),
        ([1e-3, 30.0, 1e8],),
        (lambda x: 1 / torch.sqrt(x) - 1 / torch.sqrt(2 * x + 5),),
    ),
    "sigmoid(a) - sigmoid(b) -> sigmoid(-b) - sigmoid(-a) where both are above 0": Row(
        lambda a, b: torch.sigmoid(a) - torch.sigmoid(b),
        (X, [0.25, -1.5, 1.0]),
        ([30.0, -25.0, 18.0], [28.0, -24.0, 19.0]),
        (lambda a, b: torch.sigmoid(a) - 0.5 * torch.sigmoid(b),),
    ),
    "log(p) - log(1 - p) -> logit(p)": Row(
        lambda p: torch.log(p) - torch.log(1 - p),
        ([0.25, 0.5, 0.75],),
        ([0.5000002, 0.49999991, 0.50000012],),
        (lambda p: torch.log(p) - torch.log(2 - p), lambda p: torch.log(p) - torch.log(1 - p.clamp(1e-6, 1 - 1e-6))),
        inherent=True,
    ),
    "log(a) - log(b) -> log1p((a - b) / b)": Row(
        lambda x: torch.log(x + 2) - torch.log(x),
        ([0.5, 3.0, 2.0],),
        ([1e-3, 1e4, 1e10],),
        (lambda x: torch.log(2 * x) - torch.log(x * x),),
    ),
    "a^2 - b^2 -> (a - b) (a + b)": Row(
        lambda a, b: a**2 - b**2,
        (X, [0.5, -1.0, 1.5]),
        ([10000.0, 1.0, 3e25, 1e-9], [9999.0, 1.0001, 2.99e25, 1.0]),
        (lambda a, b: a**2 - 2 * b**2, lambda a, b: a**2 - b**3),
    ),
    "a^2 - b^2 beside others, 1 - a^2 -> (a - b) (a + b)": Row(
        lambda a: 1 - a**2,
        (X,),
        ([1.0000001, -0.9999999, 1.000001],),
        (lambda a: 2 - a**2, lambda a: 1 + a**2),
        inherent=True,
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(tuple(rule for rule in DIFFERENCES if rule not in ELSEWHERE), ROWS)
