from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.errors import LossError
from tessera.nn.losses import auto_loss

LOGITS, CLASSES = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 3, 0])


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
def test_any_integer_numbers_a_class(dtype):
    assert auto_loss(LOGITS, CLASSES.to(dtype)) == F.cross_entropy(LOGITS, CLASSES)


def test_numbers_are_compared_as_numbers():
    target = torch.randn(6, 4)
    assert auto_loss(LOGITS, target) == F.mse_loss(LOGITS, target)


def test_classes_have_weights_and_numbers_have_none():
    weight = torch.rand(4)
    assert auto_loss(LOGITS, CLASSES, weight=weight) == F.cross_entropy(LOGITS, CLASSES, weight=weight)
    with pytest.raises(LossError) as caught:
        auto_loss(LOGITS, LOGITS, weight=weight)
    assert str(caught.value) == (
        "class_weight was passed, and the targets are numbers. "
        "The loss 'auto' is then the mean squared error, which has no classes. "
        "Leave class_weight out, or pass class numbers, as in labels.long()."
    )
