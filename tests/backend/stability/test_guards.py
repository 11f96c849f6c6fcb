import math

import pytest
import torch

from tests.backend.stability.harness import Rewritten, touched, value_and_gradients

X = torch.tensor([-4.0, 0.0, 0.25, 3.0])
TRAPS = {
    "log": (lambda x: torch.where(x > 0, torch.log(x), 0.0), [0, 0, 4, 1 / 3]),
    "sqrt": (lambda x: torch.where(x > 0, x.sqrt(), x), [1, 1, 1, 3**-0.5 / 2]),
    "reciprocal": (lambda x: torch.where(x != 0, 1 / x, torch.zeros_like(x)), [-1 / 16, 0, -16, -1 / 9]),
    "quotient": (lambda x: torch.where(x == 0, 1.0, torch.sin(x) / x), None),
    "masked_fill": (lambda x: (1 / x).masked_fill(x == 0, 0.0), [-1 / 16, 0, -16, -1 / 9]),
    "power": (lambda x: torch.where(x > 0, x**0.5, 0.0), [0, 0, 1, 3**-0.5 / 2]),
    "nested": (lambda x: torch.where(x > 0, torch.sqrt(torch.log(1 + 1 / x)), 0.0), None),
    "overflow": (lambda x: torch.where(x < 1, torch.exp(100 * x), x), None),
    "other branch": (lambda x: torch.where(x <= 0, 0.0, x.log()), [0, 0, 4, 1 / 3]),
    "two conditions": (lambda x: torch.where((x > 0) & (x < 1), torch.log(x) / x, x), None),
}


@pytest.mark.parametrize("name", TRAPS)
def test_what_is_not_chosen_has_no_gradient(name):
    function, expected = TRAPS[name]
    value, (gradient,) = value_and_gradients(Rewritten(function).call, [X], [0])
    torch.testing.assert_close(value, function(X), rtol=2e-7, atol=0)
    assert torch.isfinite(gradient).all()
    if expected is not None:
        torch.testing.assert_close(gradient, torch.tensor(expected) * torch.tensor([1, 9 / 8, 10 / 8, 11 / 8]))


def test_the_square_of_what_is_infinite_has_no_gradient_where_it_is_not_chosen():
    x = torch.tensor([math.inf, 2.0])
    function = Rewritten(lambda x: torch.where(torch.isfinite(x), x**2, 1.0)).call
    assert value_and_gradients(function, [x], [0])[1][0].tolist() == [0.0, 4.5]


def test_what_is_divided_has_no_gradient_where_the_quotient_is_not_chosen():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    function = Rewritten(lambda a, b: torch.where(b > 0, a / b, 0.0)).call
    assert value_and_gradients(function, [a, b], [0])[1][0].tolist() == [0.0, 9 / 32]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.where(x > 0, 1 / x.clamp(min=1e-30), 0.0),
        lambda x: torch.where(x > 0, x.clamp(min=1e-6) ** -6, 0.0),
        lambda x: torch.where(x > 0, torch.asin(x.clamp(min=1e-3)), 0.0),
        lambda x: torch.where(x > 2, torch.acosh(x * x + 0.5), 0.0),
        lambda x: torch.where(x > 0, 1 / x.clamp(max=1.0), 0.0),
    ],
)
def test_what_a_clamp_leaves_singular_is_guarded(function):
    assert touched(function, (X,))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.where(x > 0, torch.log(torch.where(x > 0, x, 1.0)), 0.0),
        lambda x: torch.where(x > 0, x * 2, x.tanh()),
        lambda x: torch.where(x.abs() < 1, 0.5 * x.abs() ** 2, x.abs() - 0.5),
        lambda x: torch.where(x > 0, torch.log(x.abs() + 1.5), x),
        lambda x: torch.where(x > 0, torch.log(x.detach()), x),
        lambda x: torch.where(x > 1, x / x.clamp(min=1e-6), x),
        lambda x: torch.where(x.norm() > 0, x.norm() / (x[:2].norm() + 1e-8), 1.0),
        lambda x: torch.where(x > 0.01, x.clamp(min=0.01) ** (1 / 2.4), 8 * x),
        lambda x: torch.where(x > 0, torch.cumsum(torch.log(x), 0), x),
    ],
)
def test_what_is_harmless_or_not_elementwise_stays(function):
    rewritten = Rewritten(function)
    rewritten.call(X.clone().requires_grad_())
    assert not rewritten.notes


def test_without_a_gradient_nothing_is_guarded():
    rewritten = Rewritten(TRAPS["log"][0])
    rewritten.call(X)
    assert not rewritten.notes


def test_a_condition_that_is_wider_stays_as_it_is():
    def function(x):
        return torch.where(torch.ones(2, 1) > x, torch.log(x), 0.0)

    x = torch.tensor([0.5, 0.25])
    found = value_and_gradients(Rewritten(function).call, [x], [0])
    torch.testing.assert_close(found, value_and_gradients(function, [x], [0]))


def test_what_is_written_to_later_is_not_computed_anew():
    def function(x):
        y = x * 2
        chosen = torch.where(x > 0, torch.exp(y), 0.0)
        y.add_(1)
        return chosen + y

    value, _ = value_and_gradients(Rewritten(function).call, [X.abs() + 1], [0])
    torch.testing.assert_close(value, function(X.abs() + 1))
    assert math.isfinite(value.sum().item())
