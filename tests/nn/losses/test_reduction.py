from __future__ import annotations

import pytest
import torch

from tessera.errors import LossError
from tessera.nn.losses import LOSSES
from tessera.nn.losses.reduction import reduced, wide
from tests.nn.losses.references import REFERENCES


@pytest.mark.parametrize("name", LOSSES)
def test_mean_and_sum_are_those_of_the_unreduced_losses(name):
    prediction, target = REFERENCES[name].data()
    loss, prediction = LOSSES[name], prediction.double()
    values = loss(prediction, target, reduction="none")
    torch.testing.assert_close(loss(prediction, target), values.mean())
    torch.testing.assert_close(loss(prediction, target, reduction="sum"), values.sum())
    assert len(values) == len(prediction)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_added_up_in_float32(dtype):
    assert wide(dtype) is torch.float32
    values = torch.full((4000,), 100.0, dtype=dtype)  # the sum is no float16
    assert reduced(values, "mean") == reduced(values, "mean", torch.ones_like(values)) == 100
    assert reduced(values, "mean").dtype is dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_others_stay_as_they_are(dtype):
    assert wide(dtype) is dtype


def test_another_reduction_is_refused():
    with pytest.raises(LossError) as caught:
        reduced(torch.ones(2), "average")
    assert str(caught.value) == (
        "reduction='average' was passed. It is 'mean', 'sum' or 'none'. Leave it out for the mean."
    )
