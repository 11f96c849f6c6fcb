import math

import pytest
import torch

from tessera.backend.stability import forms

INF = math.inf


@pytest.mark.parametrize("form", [forms.log_sum_exp, forms.log_mean_exp])
def test_a_row_of_nothing_has_no_gradient_and_an_infinite_one_stays_so(form):
    x = torch.tensor([[-INF, -INF], [INF, 0.0], [1.0, -INF]], requires_grad=True)
    found = form(x, (1,))
    assert found[0].item() == -INF
    assert found[1].item() == INF
    (gradient,) = torch.autograd.grad(found[[0, 2]].sum(), x)
    assert gradient[[0, 2]].tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_log_add_exp_of_infinities_and_equals():
    a = torch.tensor([-INF, -INF, INF, 2.0], requires_grad=True)
    b = torch.tensor([-INF, 3.0, 1.0, 2.0], requires_grad=True)
    found = forms.log_add_exp(a, b)
    assert found.tolist() == [-INF, 3.0, INF, pytest.approx(2 + math.log(2))]
    gradients = torch.autograd.grad(found.sum(), [a, b])
    assert [g[3].item() for g in gradients] == [0.5, 0.5]
    assert torch.isfinite(torch.stack(gradients)).all()


def test_a_sharp_softmax_is_torchs_and_keeps_the_digits_that_its_gradient_loses():
    rows = torch.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, -INF], [15.0, 0.0, 1.0]])
    weights = torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, 0.0]])

    def value_and_slope(form, x):
        x = x.clone().requires_grad_()
        found = form(x)
        (slope,) = torch.autograd.grad((found[:, :2] * weights).sum(), x)
        return found.double(), slope.double()

    value, slope = value_and_slope(lambda x: forms.sharp_softmax(x, (1,)), rows)
    wanted, exact = value_and_slope(lambda x: torch.softmax(x, 1), rows.double())
    torch.testing.assert_close(value, wanted, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(slope, exact, rtol=1e-5, atol=0.0)
    _, blunt = value_and_slope(lambda x: torch.softmax(x, 1), rows)
    assert (blunt[2, 0] / exact[2, 0] - 1).abs() > 1e-3
    assert torch.isnan(forms.sharp_softmax(torch.tensor([[-INF, -INF]]), (1,))).all()


def test_weights_that_are_all_nothing_weigh_nothing():
    x = torch.tensor([[1.0, 200.0], [3.0, 4.0]], requires_grad=True)
    found = forms.weighted_softmax(x, torch.tensor([[1.0, 1.0], [0.0, 0.0]]), (1,))
    assert found.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert torch.isfinite(torch.autograd.grad(found[:, 0].sum(), x)[0]).all()


@pytest.mark.parametrize("form", [forms.norm, forms.root_mean_square, forms.normalise, forms.normalise_by_mean])
def test_nothing_and_the_largest_and_smallest_numbers_have_a_length(form):
    x = torch.tensor([[0.0, 0.0], [3e38, 3e37], [1e-45, 0.0]], requires_grad=True)
    found = form(x, (1,))
    assert torch.isfinite(found).all()
    assert torch.isfinite(torch.autograd.grad(found[0].sum(), x)[0]).all()


@pytest.mark.parametrize("value", [INF, -INF, math.nan])
@pytest.mark.parametrize(
    ("form", "plain"),
    [
        (lambda x: forms.norm(x, (0,)), lambda x: torch.sqrt((x * x).sum(0, keepdim=True))),
        (lambda x: forms.hypot(x, 1.5), lambda x: torch.sqrt(x * x + 2.25)),
        (forms.sigmoid, torch.sigmoid),
        (forms.tanh, torch.tanh),
        (forms.expm1, torch.expm1),
        (forms.softplus, lambda x: torch.log(1 + torch.exp(x))),
        (forms.asinh, torch.asinh),
        (forms.log_cosh, lambda x: torch.log(torch.cosh(x))),
        (lambda x: forms.difference_of_squares(x, 2.0), lambda x: x * x - 4),
        (forms.sech_squared, lambda x: 1 - torch.tanh(x) ** 2),
    ],
)
def test_what_is_not_finite_goes_through(form, plain, value):
    x = torch.tensor([value], dtype=torch.float64)
    torch.testing.assert_close(form(x), plain(x), equal_nan=True)


@pytest.mark.parametrize(
    "form", [forms.logit, forms.atanh, forms.acosh, forms.log_one_minus_exp, forms.log_exp_minus_one]
)
def test_outside_of_the_domain_is_no_number(form):
    x = torch.tensor([-1.5 if form is not forms.log_one_minus_exp else 1.5])
    assert form(x).isnan().all()


def test_masked_rows_are_zero_with_no_gradient():
    x = torch.tensor([[-INF, -INF], [0.0, -INF]], requires_grad=True)
    found = forms.safe_softmax(x, (1,))
    assert found.tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert not torch.autograd.grad(found[:, 0].sum(), x)[0].any()
