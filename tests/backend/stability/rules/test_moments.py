import torch

from tessera.backend.stability.rules.moments import MOMENTS
from tests.backend.stability.harness import Rewritten
from tests.backend.stability.rows import Row, contract

OFFSET = [[10000.0, 10001.0, 10002.5], [-3000.25, -3000.5, -3000.0]]
FINE = [[0.5, -1.0, 2.0]]


def weighted(x, y):
    w = torch.softmax(y, -1)
    return (w * x * x).sum(-1) - (w * x).sum(-1) ** 2


def weighted_by_a_sum(x, y):
    w = y.exp() / y.exp().sum(-1, keepdim=True)
    return (w * x**2).sum(-1) - (w * x).sum(-1).square()


def of_weights_that_add_up_to_anything(x, y):
    return (y * x * x).sum(-1) - (y * x).sum(-1) ** 2


def third(x):
    m = x.mean(-1)
    return (x**3).mean(-1) - 3 * m * (x**2).mean(-1) + 2 * m**3


def fourth(x):
    m = x.mean(-1)
    return (x**4).mean(-1) - 4 * m * (x**3).mean(-1) + 6 * m**2 * (x**2).mean(-1) - 3 * m**4


def not_a_third(x):
    m = x.mean(-1)
    return (x**3).mean(-1) - 2 * m * (x**2).mean(-1) + m**3


def written_out(x):
    a, b, c = x.unbind(-1)
    return (a * a + b * b + c * c) / 3 - ((a + b + c) / 3) ** 2


def written_out_otherwise(x):
    a, b, c = x.unbind(-1)
    return a * a + b * b + c * c - (a + b + c) ** 2


ROWS = {
    "sum(w x y) - sum(w x) sum(w y) -> sum(w (x - m) (y - n))": Row(
        weighted, (FINE, [[1.0, 0.5, -0.5]]), (OFFSET, FINE * 2), (of_weights_that_add_up_to_anything,)
    ),
    "mean(x^3) - 3 mean(x) mean(x^2) + 2 mean(x)^3 -> mean((x - mean(x))^3), and the fourth": Row(
        lambda x: third(x) + fourth(x), (FINE,), ([[100.0, 101.0, 102.5], [-30.25, -30.5, -30.0]],), (not_a_third,)
    ),
    "a^2 + b^2 + c^2 - (a + b + c)^2 / 3 -> (a - m)^2 + (b - m)^2 + (c - m)^2": Row(
        written_out, (FINE,), (OFFSET,), (written_out_otherwise,)
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(MOMENTS, ROWS)


def test_weights_may_be_divided_by_their_sum_by_hand():
    x, y = torch.tensor(OFFSET), torch.tensor(FINE * 2)
    torch.testing.assert_close(weighted_by_a_sum(x.double(), y.double()), weighted(x.double(), y.double()))
    rewritten = Rewritten(weighted_by_a_sum)
    torch.testing.assert_close(rewritten.call(x, y), weighted(x.double(), y.double()).float())
