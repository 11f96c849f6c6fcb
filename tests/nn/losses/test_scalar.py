from __future__ import annotations

import pytest
import torch

from tessera.errors import LossError
from tessera.nn.losses import check_scalar, own_loss


class Output:
    loss = torch.tensor(1.5)


@pytest.mark.parametrize("output", [torch.tensor(1.5), {"loss": torch.tensor(1.5), "logits": torch.ones(3)}, Output()])
def test_a_modules_own_loss_is_found(output):
    assert own_loss(output) == own_loss(output, "target") == 1.5


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (torch.ones(3), "a tensor of shape [3]"),
        ({"logits": torch.ones(3)}, "dict"),
        ({"loss": None}, "dict"),
        ((torch.ones(()),), "tuple"),
        (1.0, "float"),
    ],
)
def test_a_module_without_a_loss_of_its_own_is_told(output, what):
    with pytest.raises(LossError) as caught:
        own_loss(output)
    assert str(caught.value) == (
        f"The module returned {what}, and loss=None was passed. "
        "Without a loss function the module returns its own loss: a 0-d tensor, or an output with a loss that is one. "
        'Write loss="cross_entropy" or another loss, or return the loss from forward, in eval mode as well.'
    )


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (torch.ones(2, requires_grad=True), r"a tensor of shape \[2\]"),
        ((torch.ones((), requires_grad=True),), "a tuple"),
        (3.0, "a float"),
        (torch.ones(()), "does not depend on any trainable parameter"),
    ],
    ids=["vector", "tuple", "float", "constant"],
)
def test_a_step_minimises_one_number_that_depends_on_parameters(loss, words):
    with pytest.raises(LossError, match=words):
        check_scalar(loss)
    check_scalar(torch.ones(1, requires_grad=True))
