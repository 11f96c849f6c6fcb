import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import clip_by_value


def test_it_is_torchs_clip_grad_value():
    param = nn.Parameter(torch.zeros(50))
    param.grad = torch.randn(50)
    (update,), (state,) = clip_by_value(0.4).update([param.grad], [{}], [param])
    torch.nn.utils.clip_grad_value_([param], 0.4)
    assert torch.equal(update, param.grad)
    assert state == {}


def test_a_negative_value_is_refused():
    with pytest.raises(OptimizerError, match="max_value=-1 was passed"):
        clip_by_value(-1)
