import math

import pytest
import torch

from tessera.backend.stability.rules.removable import REMAINDERS, REMOVABLE
from tests.backend.stability.harness import Rewritten, value_and_gradients
from tests.backend.stability.rows import Row, contract

X = [-1.5, 0.3, 2.0]
TINY = [-1e-5, 1e-4, 1e-3]

ROWS = {
    "exp(x) - 1 - x, log(1 + x) - x, x - sin(x), coth(x) - 1/x -> their series near 0": Row(
        lambda x: torch.exp(x) - 1 - x,
        (X,),
        (TINY,),
        (lambda x: torch.exp(x) - 1 - 0.5 * x, lambda x: torch.exp(x) - 2 - x),
    ),
    "f(x) / x -> the same, with its limit at 0": Row(
        lambda x: (torch.exp(x) - 1) / x,
        (X,),
        (TINY,),
        (
            lambda x: (torch.exp(x) - 1) / (x + 0.5),
            lambda x: torch.sin(x) / x.clamp(min=1e-6),
            lambda x: torch.where(x == 0, 1.0, torch.sin(x) / x),
        ),
    ),
    "1 / (exp(x) - 1) -> exp(-x) / (1 - exp(-x)) for x > 0": Row(
        lambda x: 2 / (torch.exp(x) - 1),
        (X,),
        ([-200.0, -1e-3, 1e-9, 0.5, 87.0],),
        (lambda x: 1 / (torch.exp(-x.abs()) - 1), lambda x: 1 / (torch.exp(x) - 2)),
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract((*REMAINDERS, *REMOVABLE), ROWS)

SPELLINGS = {
    "sin(x) / x": (lambda x: torch.sin(x) / x, 1.0),
    "(1 - cos(x)) / x^2": (lambda x: (1 - torch.cos(x)) / x**2, 0.5),
    "(x - sin(x)) / x^3": (lambda x: (x - torch.sin(x)) / x**3, 1 / 6),
    "log(1 + x) / x": (lambda x: torch.log(1 + x) / x, 1.0),
    "tanh(2 x) / x": (lambda x: torch.tanh(2 * x) / x, 2.0),
    "erf(x) / x": (lambda x: torch.erf(x) / x, 2 / math.sqrt(math.pi)),
    "sinh(x) / x": (lambda x: torch.sinh(x) / x, 1.0),
    "(1 - exp(-3 x)) / x": (lambda x: (1 - torch.exp(-3 * x)) / x, 3.0),
    "(exp(x) - 1 - x) / x^2": (lambda x: (torch.exp(x) - 1 - x) / (x * x), 0.5),
    "((1 + x)^5 - 1) / x": (lambda x: ((1 + x) ** 5 - 1) / x, 5.0),
    "x / (exp(x) - 1)": (lambda x: x / (torch.exp(x) - 1), 1.0),
    "1/tanh(x) - 1/x": (lambda x: 1 / torch.tanh(x) - 1 / x, 0.0),
    "x - 1 - log(x)": (lambda x: (x + 1) - 1 - torch.log(x + 1), 0.0),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_each_has_its_limit_at_0_and_is_what_it_was_elsewhere(name):
    function, limit = SPELLINGS[name]
    x = torch.tensor([0.0, 0.4, 0.8, 3.0], dtype=torch.float64)
    rewritten = Rewritten(function)
    value, (gradient,) = value_and_gradients(rewritten.call, [x], [0])
    assert rewritten.notes
    assert value[0].item() == pytest.approx(limit)
    assert gradient.isfinite().all()
    torch.testing.assert_close(value[1:], function(x)[1:])
