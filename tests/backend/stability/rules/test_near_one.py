import torch

from tessera.backend.stability.rules.near_one import NEAR_ONE
from tests.backend.stability.harness import Rewritten
from tests.backend.stability.rows import Row, contract

ROWS = {
    "u - 1 -> expm1(log(u)), u a product": Row(
        lambda x, y: (1 - torch.sigmoid(x) * torch.sigmoid(y)) * ((1 + y) ** -3.0 - 1) + 1 - torch.prod(1 - y, 0),
        ([0.5, 3.0, -2.0], [0.25, 3.0, 1.0]),
        ([20.0, 17.0, 30.0], [1e-9, 1e-7, 1e-8]),
        (
            lambda x, y: 2 - torch.sigmoid(x) * torch.sigmoid(y),
            lambda x, y: (0.5 + y) ** -3.0 - 1,
            lambda x, y: 1 - torch.prod(y, 0) * x,
        ),
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(NEAR_ONE, ROWS)


def test_factors_below_zero_have_the_sign_that_they_had():
    x = torch.tensor([-3.0, -1.0, -0.75, 0.25])
    for power in (3, -2, 4, 0.25):
        rewritten = Rewritten(lambda x, power=power: (1 + x) ** power - 1)
        torch.testing.assert_close(rewritten.call(x), (1 + x) ** power - 1, equal_nan=True)
        assert rewritten.notes
    rows = torch.tensor([[-3.0, 0.25], [-3.0, -4.0], [0.5, 0.25]])
    rewritten = Rewritten(lambda x: torch.prod(1 + x, 1) - 1)
    torch.testing.assert_close(rewritten.call(rows), torch.prod(1 + rows, 1) - 1)
