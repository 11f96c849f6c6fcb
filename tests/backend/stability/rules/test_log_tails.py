import torch

from tessera.backend.stability.rules.log_tails import LOG_TAILS
from tests.backend.stability.rows import Row, contract

X = [-1.5, 0.3, 2.0]

ROWS = {
    "log(erfc(x)) -> log(erfcx(x)) - x^2, log(i0(x)) -> log(i0e(x)) + |x|, log(x ** y) -> y log(x)": Row(
        lambda x: torch.log(torch.erfc(x)) + torch.log(torch.special.i0(x)),
        (X,),
        ([-120.0, -8.5, -0.5, 0.25, 3.0, 9.0, 26.0, 120.0],),
        (lambda x: torch.log(torch.erfc(x) - x * x), lambda x: torch.log(torch.special.i0(x) + 0.5)),
    ),
    "acosh(1 + u) -> log1p(u + sqrt(u) sqrt(u + 2))": Row(
        lambda x: torch.acosh(1 + x),
        ([0.5, 0.25, 3.0],),
        ([1e-20, 1e-9],),
        (lambda x: torch.acosh(2 + x),),
    ),
    "log(sigmoid(a) - sigmoid(b)) -> logsigmoid(a) + logsigmoid(-b) + log1mexp(b - a), and of erfc": Row(
        lambda x, y: torch.log(torch.sigmoid(y) - torch.sigmoid(x)) + torch.log(torch.erfc(x) - torch.erfc(y)),
        ([-1.5, 0.25, 1.0], [-0.5, 0.5, 3.0]),
        ([-30.0, 20.0, -12.0, 9.0], [-25.0, 22.0, 14.0, 10.0]),
        (lambda x, y: torch.log(torch.sigmoid(y) - 0.5 * torch.sigmoid(x)),),
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(LOG_TAILS, ROWS)
