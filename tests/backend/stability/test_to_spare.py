import pytest
import torch
from torch.nn import functional as F

from tests.backend.stability.harness import touched

X, Y, Z = torch.randn(4, 6), torch.randn(4, 6), torch.randn(4, 6)


def gated(x, a, b):
    g = torch.sigmoid(x)
    return (1 - g) * a + g * b


def recurrent(x, a, b):
    """As many gates as are too large to be looked at."""
    for _ in range(40):
        g = torch.sigmoid(x)
        b = (1 - g) * torch.tanh(a * b) + g * b
    return b


@pytest.mark.parametrize(
    ("function", "inputs"),
    [(gated, (X, Y, Z)), (recurrent, (X, Y, Z))],
    ids=["gate", "recurrent"],
)
def test_a_rule_that_only_saves_digits_leaves_what_has_them_to_spare(function, inputs):
    assert touched(function, inputs) == []


BESIDE = {
    "a range": lambda x, y: 3.5 * (torch.tanh(x) + 1) - 5,
    "a turn": lambda x, y: x * torch.cos(y) + y * (1 - torch.cos(y)),
    "a power's complement": lambda x, y: (1 - 1 / x) ** 7.94 * y + (1 - (1 - 1 / x) ** 7.94) * y * y,
    "log odds of a square": lambda x, y: torch.log(x / y) + 0.5 * (x * x + y * y + 1) ** 2,
    "log of a root": lambda x, y: torch.exp(x) - torch.log(torch.sqrt(-torch.expm1(-y * y - 1))),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_something_is_added_to_has_digits_to_spare(name):
    assert touched(BESIDE[name], (X.abs() + 1, Y.abs() + 1)) == []


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: torch.tanh(x) + 1,
        lambda x, y: y * (1 - torch.cos(x)) * 3,
        lambda x, y: (torch.tanh(x) + 1) + 1e-12 * y,
        lambda x, y: torch.log(x / y) * y,
        lambda x, y: torch.log(torch.sigmoid(x) * y + (1 - torch.sigmoid(x)) * (1 - y)),
        lambda x, y: torch.log(torch.expm1(x.repeat(3, 1))) * y[:1],
    ],
    ids=["alone", "a product", "beside next to nothing", "a logarithm", "beside labels", "an exponential too large"],
)
def test_what_is_all_that_there_is_has_none(function):
    assert touched(function, (X.abs() + 1, Y.abs() + 1)) != []


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 1 - torch.sigmoid(x),
        lambda x: torch.sigmoid(x) * (1 - torch.sigmoid(x)),
    ],
    ids=["complement", "slope"],
)
def test_what_a_trial_shows_to_be_wrong_is_mended(function):
    assert touched(function, (X,)) != []


def test_what_cannot_be_tried_is_mended_beside_something_too():
    assert touched(lambda x, y: 3.5 * (torch.tanh(x) + 1) - 5 + y.clamp(min=1e-6), (X, Y)) != []


def test_what_is_known_to_be_small_does_not_overflow():
    def similarities(x, y):
        e = torch.exp(F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T / 0.5)
        return e / e.sum(-1, keepdim=True)

    def scores(x, y):
        e = torch.exp(x @ y.T / 0.5)
        return e / e.sum(-1, keepdim=True)

    assert touched(similarities, (X, Y)) == []
    assert touched(scores, (X, Y)) != []
