import pytest
import torch

from tessera.backend.stability.rules.rescaled import RESCALED
from tests.backend.stability.harness import Rewritten, error, truth, value_and_gradients
from tests.backend.stability.rows import ULP, Row, contract

NAME = "a sum of exponentials under a fraction -> exp(m) times the same of x - m"
FAR = [[200.0, 195.0, -200.0], [-300.0, -301.0, -310.0]]


def with_a_sink(x):
    return torch.exp(x) / (1 + torch.exp(x).sum(-1, keepdim=True))


ROWS = {
    NAME: Row(
        with_a_sink,
        ([[0.5, -1.0, 2.0]],),
        (FAR,),
        (
            lambda x: torch.exp(-x.abs()) / (1 + torch.exp(-x.abs()).sum(-1, keepdim=True)),
            lambda x: torch.exp(x - x.amax(-1, keepdim=True)) / (1 + torch.exp(x - x.amax(-1, keepdim=True)).sum(-1)),
            lambda x: torch.exp(x) * (1 + torch.exp(x).sum(-1, keepdim=True)),
            lambda x: torch.exp(x) / (x + torch.exp(x).sum(-1, keepdim=True)),
        ),
    ),
}

(
    test_every_rule_has_a_row,
    test_it_fires_and_keeps_what_was_right,
    test_it_mends_what_was_wrong,
    test_it_holds_back,
) = contract(RESCALED, ROWS)

SPELLINGS = {
    "two partial results": lambda x: (x[:, 0] * x[:, 1].exp() + 3 * x[:, 2].exp()) / (x[:, 1].exp() + x[:, 2].exp()),
    "by the mean": lambda x: x.exp() / x.exp().mean(-1, keepdim=True),
    "effective sample size": lambda x: x.exp().sum(-1) ** 2 / (2 * x).exp().sum(-1),
    "weights": lambda x: (x.exp() * torch.tensor([1.0, 0.0, 2.0])).sum(-1) / (x.exp().sum(-1) + 0.5),
    "one below": lambda x: 1 / (0.25 + x.exp().sum(-1)),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_other_quotients_of_sums(name):
    function, x = SPELLINGS[name], torch.tensor(FAR)
    rewritten = Rewritten(function)
    value, (gradient,) = value_and_gradients(rewritten.call, [x], [0])
    assert any(NAME in note for note in rewritten.notes)
    wanted, (slope,) = truth(function, [x], [0])
    assert error(value, wanted, torch.float32) <= ULP
    assert error(gradient, slope, torch.float32) <= ULP


def test_rows_of_another_length_are_not_put_together():
    """What is added to a sum over rows may be as long as the rows are, and is no part of them."""

    def function(x, y):
        return torch.exp(y) / (torch.exp(y) + torch.exp(x).sum(-1, keepdim=True))

    x, y = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.5, -1.0, 4.0]])
    rewritten = Rewritten(function)
    torch.testing.assert_close(rewritten.call(x, y), function(x, y))
    assert [note.split(" at ")[0] for note in rewritten.notes] == ["stabilised computed in float64"]
