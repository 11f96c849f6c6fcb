from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from tessera import torch_internals
from tessera.capture.bound_step import StaleProgram
from tessera.capture.dispatch import Dispatch
from tessera.capture.step_down import CannotCapture
from tessera.capture.training_job import StepOptions, TrainingJob
from tessera.capture.whole_step import WholeStep
from tessera.program import Report


def forward(net, x, y):
    prediction = net(x)
    return F.mse_loss(prediction, y), [prediction.mean()]


def bind(net, x, y):
    return locals()


def whole(net, *optimizers, **options):
    job = TrainingJob("step", net, optimizers, StepOptions(**options), Report("step"))
    return job, Dispatch(forward, bind, lambda graph, inputs: WholeStep(job, graph, inputs), whole=True)


def test_one_call_is_forward_backward_clipping_and_update():
    net = torch.nn.Linear(3, 2)
    twin = copy.deepcopy(net)
    optimizer, reference = (torch.optim.Adam(n.parameters(), lr=0.1) for n in (net, twin))
    job, step = whole(net, optimizer, clip_norm=0.5, check_finite=True)
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    for _ in range(3):
        version = net.weight._version
        loss, (mean,) = step(net, x, y)
        expected, (expected_mean,) = forward(twin, x, y)
        expected.backward()
        norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        reference.step()
        reference.zero_grad()
        torch.testing.assert_close([loss, mean], [expected.detach(), expected_mean.detach()])
        torch.testing.assert_close(job.extra["grad_norm"], norm)
        assert job.extra["finite"]
        assert net.weight._version > version
        assert net.weight.grad is None
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    (compilation,) = job.report.compilations
    assert compilation.program == "step"

    before = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    step(net, x, torch.full_like(y, float("inf")))
    assert not job.extra["finite"]
    torch.testing.assert_close((net.state_dict(), optimizer.state_dict()), before, rtol=0, atol=0)

    optimizer.state[net.weight]["exp_avg"] = torch.zeros(2, 3)  # another tensor, as after load_state_dict
    with pytest.raises(StaleProgram):
        step(net, x, y)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda net: [torch.optim.SGD(net.parameters()) for _ in range(2)], "a parameter is updated twice"),
        (lambda net: [torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])], "depends on no parameter"),
        (lambda net: [torch.optim.Adam([net.weight]), torch.optim.LBFGS([net.bias])], "several times in one step"),
    ],
)
def test_a_refused_capture_names_its_reason_and_leaves_no_state(make, reason):
    net = torch.nn.Linear(3, 2)
    optimizers = make(net)
    _, step = whole(net, *optimizers)
    with pytest.raises(torch_internals.capture_errors()) as raised:
        step(net, torch.randn(4, 3), torch.randn(4, 2))
    inner = torch_internals.backend_failure(raised.value)
    assert isinstance(inner, CannotCapture)
    assert reason in inner.reason
    assert all(not o.state for o in optimizers)
