import torch

from tessera.backend.stability.rules.log_products import LOG_PRODUCTS
from tests.backend.stability.harness import Rewritten
from tests.backend.stability.rows import Row, contract

FAR, FURTHER = [1e30, 1e-30, 2.0, -1e30, 1.0000001], [1e-30, 1e30, 3.0, -1e-30, 1.0]

ROWS = {
    "log(x ** n) -> n log(x)": Row(
        lambda x: torch.log(x**2),
        ([0.5, 3.0, -2.0],),
        ([1e30, -1e-30, 1.0000001],),
        (lambda x: torch.log(x.clamp(min=1e-6) ** 2), lambda x: torch.log(x**2 + 1e-6), torch.log),
    ),
    "log(a / b) -> log1p((a - b) / b), or log(a) - log(b)": Row(
        lambda a, b: torch.log(a / b),
        ([0.5, 3.0, -2.0], [2.0, 2.9, -0.1]),
        (FAR, FURTHER),
        (
            lambda a, b: torch.log((a + 1e-6) / (b + 1e-6)),
            lambda a, b: torch.log(a / b.clamp_min(1e-6)),
            lambda a, b: torch.log(-a / b),
        ),
    ),
    "log(a b) -> log(a) + log(b), where a b leaves the range": Row(
        lambda a, b: torch.log(3 * a * b.square()),
        ([0.5, 3.0, 2.0], [2.0, 2.9, -0.1]),
        ([1e30, 1e-30, 2.0], [1e20, -1e-20, -3.0]),
        (lambda a, b: torch.log(a * (b + 1e-6)), lambda a, b: torch.log(a * b.clamp(min=1e-6)), lambda a, b: a * b),
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(LOG_PRODUCTS, ROWS)


def test_in_the_range_the_bits_stay_and_outside_infinity_and_nan_that_are_meant():
    a = torch.tensor([5.0, 0.0, 0.0, 1.0, -1.0, float("inf"), float("nan")])
    b = torch.tensor([2.0, 1.0, 0.0, 0.0, 2.0, 1.0, 1.0])
    for function in (lambda a, b: torch.log(a / b), lambda a, b: torch.log(a * b)):
        found = Rewritten(function).call(a, b)
        assert torch.equal(found.nan_to_num(7.5), function(a, b).nan_to_num(7.5))
