from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import tessera


def operations(function):
    with tessera.debug_mode(nan="ignore", inf="ignore") as debug:
        function()
    return [(o.name.removeprefix("aten."), o.phase) for o in debug.trace]


def test_forward_backward_and_update():
    w = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([w], lr=0.1, foreach=False)

    def job():
        w.exp().sum().backward()
        optimizer.step()

    found = operations(job)
    assert found[:2] == [("exp", "forward"), ("sum", "forward")]
    assert ("mul", "backward") in found
    assert found[-1] == ("add_", "update")


def test_what_a_checkpoint_computes_again_is_a_forward():
    w = torch.ones(2, requires_grad=True)
    found = operations(lambda: checkpoint(lambda v: v.sin().cos(), w, use_reentrant=False).sum().backward())
    assert found.count(("sin", "forward")) == 2


def test_the_trace_has_the_values_of_an_operation_in_place():
    with tessera.debug_mode() as debug:
        x = torch.ones(3)
        x.mul_(4)
    assert debug.trace[-1].results[0].high == 4
    assert debug.trace[-1].parents == (1,)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.bfloat16, torch.float8_e5m2])
def test_all_dtypes_pass(dtype):
    x = torch.ones(3).to(dtype)
    assert operations(lambda: torch.cat([x, x]).view(2, 3)) == [("cat", "forward"), ("view", "forward")]


def test_results_are_those_of_pytorch():
    torch.manual_seed(0)
    net = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    x = torch.randn(2, 5, 8)
    plain, net_grads = _trained(net, x), [p.grad for p in net.parameters()]
    with tessera.debug_mode():
        watched = _trained(net, x)
    assert torch.equal(plain, watched)
    assert all(torch.equal(a, p.grad) for a, p in zip(net_grads, net.parameters(), strict=True))


def _trained(net, x):
    torch.manual_seed(1)
    net.zero_grad()
    y = net(x)
    y.square().sum().backward()
    return y.detach()
