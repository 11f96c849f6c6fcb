from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.nn.losses import bce, bce_with_logits, hinge, sigmoid_focal

SCORES = torch.rand(5, 2)


@pytest.mark.parametrize("loss", [bce, bce_with_logits, sigmoid_focal, hinge])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float64])
def test_yes_and_no_become_numbers(loss, dtype):
    yes = torch.rand(5, 2) > 0.5
    torch.testing.assert_close(loss(SCORES, yes.to(dtype)), loss(SCORES, yes.float()), check_dtype=False)


def test_sigmoid_focal_without_focus_is_binary_cross_entropy():
    logits, shares = torch.randn(5, 2), torch.rand(5, 2)
    torch.testing.assert_close(
        sigmoid_focal(logits, shares, gamma=0.0), F.binary_cross_entropy_with_logits(logits, shares)
    )


def test_sigmoid_focal_has_a_gradient_however_sure_the_model_is():
    logits = torch.tensor([200.0, -200.0, 200.0]).requires_grad_()
    loss = sigmoid_focal(logits, torch.tensor([1.0, 0.0, 0.0]), gamma=0.5)
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()
    torch.testing.assert_close(loss.detach(), torch.tensor(200 / 3))


def test_hinge_takes_both_ways_to_write_no():
    side = torch.tensor([[1.0, -1], [-1, -1], [1, 1], [-1, 1], [1, -1]])
    assert hinge(SCORES, side) == hinge(SCORES, side.clamp(min=0)) == (1 - side * SCORES).clamp(min=0).mean()
