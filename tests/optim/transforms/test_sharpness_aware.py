import copy

import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import SAM, Optimizer, chain, clip_by_global_norm, cosine_decay, sgd, sharpness_aware
from tessera.optim.transforms.sharpness_aware import ascent
from tests.optim.parity import Model, assert_same


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_way_up_has_the_length_rho(adaptive):
    params = [torch.randn(3, 4), torch.randn(()), torch.randn(0)]
    grads = [torch.randn_like(param) for param in params]
    ways = ascent(grads, params, 0.3, adaptive=adaptive)
    lengths = [(w / p.abs() if adaptive else w).norm() for w, p in zip(ways, params, strict=True)]
    assert torch.stack(lengths).norm().item() == pytest.approx(0.3, rel=1e-5)
    assert sum((w * g).sum() for w, g in zip(ways, grads, strict=True)) > 0


def test_no_gradient_is_no_way():
    assert ascent([], [], 0.1) == []
    assert torch.equal(ascent([torch.zeros(2)], [torch.ones(2)], 0.1)[0], torch.zeros(2))


@pytest.mark.parametrize("adaptive", [False, True])
def test_two_calls_are_one_step_of_sam(adaptive):
    tx = chain(clip_by_global_norm(1.0), sgd(cosine_decay(0.05, 10), momentum=0.9, weight_decay=0.1))
    model = Model()
    twin = copy.deepcopy(model)
    ours = Optimizer(model, chain(tx, sharpness_aware(0.1, adaptive=adaptive)))
    reference = SAM(twin, tx, 0.1, adaptive=adaptive)
    for step in range(0, 20, 2):

        def closure(step=step):
            reference.zero_grad()
            loss = twin.loss(step)
            loss.backward()
            return loss

        ours.step(model.loss(step))
        with ours.averaged_weights():
            assert_same(model, twin)
        ours.step(model.loss(step))
        reference.step(closure)
        assert_same(model, twin)


def test_bad_numbers_are_refused():
    with pytest.raises(OptimizerError, match="^rho=-1 was passed"):
        sharpness_aware(-1)


def test_a_resumed_run_may_begin_between_two_calls():
    param = nn.Parameter(torch.tensor([1.0, 2.0]))
    make = lambda p: Optimizer([p], chain(sgd(0.1), sharpness_aware(0.5)))  # noqa: E731
    optimizer = make(param)
    optimizer.step(param.pow(4).sum())
    copied = nn.Parameter(param.detach().clone())
    resumed = make(copied)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.step(param.pow(4).sum())
    resumed.step(copied.pow(4).sum())
    assert torch.equal(param, copied)
