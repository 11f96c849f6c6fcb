import math

import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import check_betas, check_flag, check_number, is_zero


@pytest.mark.parametrize(
    ("value", "zero"), [(0, True), (0.0, True), (-0.0, True), (1e-300, False), (torch.tensor(0.0), False)]
)
def test_only_a_number_is_zero(value, zero):
    assert is_zero(value) is zero


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 3, torch.tensor(0.1)])
def test_numbers_and_0d_tensors_are_taken(value):
    check_number("eps", value, 1e-8)


@pytest.mark.parametrize(
    ("value", "limits", "kind"),
    [
        (-1e-9, {}, "a finite number of at least 0"),
        (math.nan, {}, "a finite number of at least 0"),
        (math.inf, {}, "a finite number of at least 0"),
        ("0.1", {}, "a finite number of at least 0"),
        (None, {}, "a finite number of at least 0"),
        (True, {}, "a finite number of at least 0"),
        (0.0, {"positive": True}, "a finite number above 0"),
        (1.0, {"below": 1.0}, "a number in [0, 1)"),
        (math.nan, {"low": -math.inf}, "a finite number"),
    ],
)
def test_anything_else_is_refused(value, limits, kind):
    with pytest.raises(OptimizerError) as caught:
        check_number("eps", value, 0.5, **limits)
    assert str(caught.value) == f"eps={value!r} was passed. eps is {kind}, or a 0-d tensor. Write for example eps=0.5."


def test_a_tensor_with_dimensions_is_refused():
    with pytest.raises(OptimizerError, match=r"eps=tensor\(\[0\.1000\]\) was passed"):
        check_number("eps", torch.tensor([0.1]), 1e-8)


def test_betas_are_two_numbers_below_one():
    check_betas((0.0, torch.tensor(0.9)), (0.9, 0.99))
    check_betas([0.5, 0.9], (0.9, 0.99))
    for wrong in (0.9, (0.9,), (0.9, 0.99, 0.999), None):
        with pytest.raises(OptimizerError, match="betas is a pair of numbers"):
            check_betas(wrong, (0.9, 0.99))
    with pytest.raises(OptimizerError) as caught:
        check_betas((1.0, 0.9), (0.9, 0.99))
    assert str(caught.value) == (
        "betas[0]=1.0 was passed. betas[0] is a number in [0, 1), or a 0-d tensor. Write for example betas[0]=0.9."
    )


def test_a_flag_is_true_or_false():
    for value in (True, False, 1, 0):
        check_flag("amsgrad", value, False)
    for value in ("no", None, 0.5, torch.tensor(True)):
        with pytest.raises(OptimizerError) as caught:
            check_flag("amsgrad", value, False)
        assert str(caught.value) == (
            f"amsgrad={value!r} was passed. amsgrad is True or False. Write for example amsgrad=False."
        )
