import torch

from tessera.backend.stability.rules.complements import COMPLEMENTS
from tests.backend.stability.rows import Row, contract

X = [-1.5, 0.3, 2.0]
TINY = [-1e-9, 1e-12, 1e-3, 0.7]

ROWS = {
    "1 - sigmoid(x) -> sigmoid(-x)": Row(
        lambda x: 1 - torch.sigmoid(x), (X,), ([-30.0, 0.0, 20.0, 80.0],), (lambda x: 0.9 - torch.sigmoid(x),)
    ),
    "sigmoid(x) - 1/2 -> tanh(x/2) / 2": Row(
        lambda x: 2 * torch.sigmoid(x) - 1, (X,), ([-30.0, *TINY, 40.0],), (lambda x: 2 * torch.sigmoid(x) - 0.5,)
    ),
    "1 - tanh(x) -> 2 sigmoid(-2x)": Row(
        lambda x: 1 - torch.tanh(x), (X,), ([-8.0, 0.0, 9.0, 30.0],), (lambda x: 2 - torch.tanh(x),)
    ),
    "1 - (w p + (1 - w) q) -> w (1 - p) + (1 - w) (1 - q)": Row(
        lambda x, y: 1 - (y * torch.sigmoid(x) + (1 - y) * torch.sigmoid(-x)),
        ([0.5, -2.0, 1.0], [0.25, 1.0, 0.0]),
        ([40.0, -40.0, 20.0], [1.0, 0.0, 1.0]),
        (
            lambda x, y: 1 - (y * torch.sigmoid(x) + (1 + y) * torch.sigmoid(-x)),
            lambda x, y: 1 - (y * torch.sin(x) + (1 - y) * x),
        ),
    ),
    "1 - where(c, p, q) -> where(c, 1 - p, 1 - q)": Row(
        lambda x, y: y * (1 - torch.where(y > 0.5, torch.sigmoid(x), 1 - torch.sigmoid(x))),
        ([0.5, -2.0, 1.0], [0.25, 1.0, 0.0]),
        ([40.0, -40.0, 20.0], [1.0, 0.0, 1.0]),
        (
            lambda x, y: 2 - torch.where(y > 0.5, torch.sigmoid(x), 0.5),
            lambda x, y: 1 - torch.where(y > 0.5, torch.sin(x), 0.5),
        ),
    ),
    "1 + tanh(x) -> 2 sigmoid(2x)": Row(
        lambda x: x * (1 + torch.tanh(x)) / 2, (X,), ([-30.0, -9.0, 0.5, 8.0],), (lambda x: 2 + torch.tanh(x),)
    ),
    "1 - tanh(x)^2 -> 4 e / (1 + e)^2, e = exp(-2|x|)": Row(
        lambda x: 1 - torch.tanh(x) ** 2, (X,), ([-30.0, -9.0, 1e-3, 0.6, 20.0],), (lambda x: 2 - torch.tanh(x) ** 2,)
    ),
    "1 - cos(x) -> 2 sin(x/2)^2": Row(
        lambda x: 1 - torch.cos(x), (X,), (TINY,), (lambda x: 1 - 0.5 * torch.cos(x), lambda x: 2 - torch.cos(x))
    ),
    "1 - cos(x)^2 -> sin(x)^2": Row(lambda x: 1 - torch.cos(x) ** 2, (X,), (TINY,), (lambda x: 1 - torch.cos(x) ** 4,)),
    "1 - sin(x)^2 -> cos(x)^2": Row(
        lambda x: 1 - torch.sin(x) ** 2, (X,), ([1.5, 1.57, 0.2],), (lambda x: 3 - torch.sin(x) ** 2,)
    ),
    "cosh(x) - 1 -> 2 sinh(x/2)^2": Row(lambda x: torch.cosh(x) - 1, (X,), (TINY,), (lambda x: torch.cosh(x) - 2,)),
    "1 - erf(x) -> erfc(x)": Row(
        lambda x: 1 - torch.erf(x), (X,), ([-3.0, 0.5, 4.0, 8.0],), (lambda x: 2 - torch.erf(x),)
    ),
    "1 + erf(x) -> erfc(-x)": Row(
        lambda x: 0.5 * (1 + torch.erf(x / 2**0.5)), (X,), ([-10.0, -5.0, 0.5],), (lambda x: 2 + torch.erf(x),)
    ),
    "elu(x) + 1 -> where(x > 0, x + 1, exp(x))": Row(
        lambda x: torch.nn.functional.elu(x) + 1,
        (X,),
        ([-60.0, -20.0, -17.0],),
        (lambda x: torch.nn.functional.elu(x) + 2, lambda x: torch.nn.functional.elu(x, alpha=0.5) + 1),
    ),
    "2 - erfc(x) -> erfc(-x)": Row(
        lambda x: 1 - 0.5 * torch.erfc(-x), (X,), ([-2.0, 0.5, 3.0, 4.0],), (lambda x: 1 - torch.erfc(x),)
    ),
    "exp(x) - 1 -> expm1(x)": Row(
        lambda x: torch.exp(x) - 1, (X,), ([-30.0, -2.0, *TINY, 20.0],), (lambda x: torch.exp(x) - 2, torch.expm1)
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(COMPLEMENTS, ROWS)
