import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import clip_by_global_norm


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 3.0, 1e6])
@pytest.mark.parametrize("dtypes", [(torch.float64, torch.float64), (torch.float32, torch.bfloat16)])
def test_it_is_torchs_clip_grad_norm(max_norm, dtypes):
    params = [nn.Parameter(torch.zeros(shape, dtype=d)) for shape, d in zip(((3, 2), ()), dtypes, strict=True)]
    for param in params:
        param.grad = torch.randn(param.shape, dtype=torch.float64).to(param.dtype)
    updates, states = clip_by_global_norm(max_norm).update([p.grad for p in params], [{}, {}], params)
    torch.nn.utils.clip_grad_norm_(params, max_norm)
    assert states == [{}, {}]
    for update, param in zip(updates, params, strict=True):
        torch.testing.assert_close(update, param.grad, rtol=1e-14, atol=0)


def test_a_norm_below_the_limit_changes_nothing():
    grad = torch.tensor([0.3, -0.4], dtype=torch.float64)
    (update,), _ = clip_by_global_norm(0.6).update([grad], [{}], [grad])
    assert torch.equal(update, grad)


def test_a_gradient_that_is_not_finite_spreads():
    """As in torch: the norm is NaN, so every gradient becomes NaN and nobody overlooks it."""
    grads = [torch.tensor([1.0]), torch.tensor([float("nan")])]
    updates, _ = clip_by_global_norm(1.0).update(grads, [{}, {}], grads)
    assert all(update.isnan().all() for update in updates)


def test_nothing_to_clip_is_no_error():
    assert clip_by_global_norm(1.0).update([], [], []) == ([], [])


def test_a_negative_norm_is_refused():
    with pytest.raises(OptimizerError) as caught:
        clip_by_global_norm(-1.0)
    assert str(caught.value) == (
        "max_norm=-1.0 was passed. max_norm is a finite number of at least 0, or a 0-d tensor. "
        "Write for example max_norm=1.0."
    )
