from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import tessera
from tessera.capture.step_arguments import check_parts
from tessera.errors import OptimizerError, SettingError

SECOND = (
    r"was passed as the loss\. The loss comes second, a function \(prediction, target\) or its name, and the optimizer "
    r"third\. Write tessera\.train_step\(model, loss, optimizer\)"
)


def test_what_is_passed_in_its_place_is_taken():
    model = torch.nn.Linear(2, 1)
    one = torch.optim.SGD([model.weight])
    other = torch.optim.SGD([model.bias])
    assert check_parts(model, None, one) == [one]
    assert check_parts(model, "mse", (one, other)) == [one, other]
    assert check_parts(model, F.mse_loss, iter([one])) == [one]


def test_loss_and_optimizer_in_each_others_place():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters())
    for swapped in (F.mse_loss, "mse", torch.nn.MSELoss(), None):
        with pytest.raises(SettingError, match=r"^A SGD " + SECOND):
            tessera.train_step(model, optimizer, swapped)
    with pytest.raises(SettingError, match=r"^A list " + SECOND):
        tessera.train_step(model, [optimizer], "mse")


def test_an_optimizer_that_is_none():
    model = torch.nn.Linear(2, 1)
    for given, told in (
        (F.mse_loss, "A function"),
        ("adam", "'adam'"),
        (None, "None"),
        ([], "A list"),
        (torch.optim.SGD, "<class 'torch.optim.sgd.SGD'>"),
        (model.parameters(), "A generator"),
    ):
        with pytest.raises(SettingError) as raised:
            tessera.train_step(model, "mse", given)
        assert str(raised.value).startswith(f"{told} was passed as the optimizer. It is a torch or Tessera optimizer")
        assert "Write for example tessera.train_step(model, loss, torch.optim.AdamW(" in str(raised.value)


def test_a_module_that_is_none():
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 1).parameters())
    with pytest.raises(SettingError, match=r"^A function was passed as the module\. .* comes first\. Write tessera\."):
        tessera.train_step(F.mse_loss, "mse", optimizer)


def test_an_optimizer_over_other_parameters():
    model = torch.nn.Linear(2, 1)
    with pytest.raises(OptimizerError, match="2 of the 2 parameters of this SGD are not those of this Linear"):
        tessera.train_step(model, "mse", torch.optim.SGD(torch.nn.Linear(2, 1).parameters()))
    with pytest.raises(OptimizerError, match="weight is in two optimizers, SGD and SGD"):
        check_parts(model, None, [torch.optim.SGD(model.parameters()), torch.optim.SGD([model.weight])])
