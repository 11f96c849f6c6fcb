from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from tessera.capture.pieces import Snapshot, run_in_pieces
from tessera.capture.training_job import StepOptions, TrainingJob
from tessera.program import Report


def job_of(net, optimizer, **options):
    return TrainingJob("step", net, [optimizer], StepOptions(**options), Report("step"))


def forward(net, x, y):
    prediction = net(x)
    return F.mse_loss(prediction, y), [prediction.mean()]


def batches(count):
    return [(torch.randn(4, 3), torch.randn(4, 2)) for _ in range(count)]


def test_a_snapshot_brings_back_what_a_forward_changes():
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Dropout())
    job = job_of(net, torch.optim.SGD(net.parameters()))
    job.accumulators[net[0].weight] = kept = torch.ones(3)
    before = {name: b.clone() for name, b in net.named_buffers()}
    x = torch.randn(4, 3)
    found = Snapshot(job)
    first = net(x)
    job.micro_step = 3
    job.accumulators.clear()
    found.restore()
    assert all(torch.equal(b, before[name]) for name, b in net.named_buffers())
    assert job.micro_step == 0
    assert job.accumulators == {net[0].weight: kept}
    assert torch.equal(net(x), first)  # the same dropout


def test_accumulation_and_clipping_are_those_of_pytorch():
    net = torch.nn.Linear(3, 2)
    twin = copy.deepcopy(net)
    job = job_of(net, torch.optim.Adam(net.parameters(), lr=0.1), accumulate=2, clip_norm=0.5)
    reference = torch.optim.Adam(twin.parameters(), lr=0.1)
    for first, second in [batches(2), batches(2)]:
        before = copy.deepcopy(net.state_dict())
        run_in_pieces(job, forward, (net, *first))
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        loss, (mean,) = run_in_pieces(job, forward, (net, *second))
        for batch in (first, second):
            value, _ = forward(twin, *batch)
            (value / 2).backward()
        norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        reference.step()
        reference.zero_grad()
        assert torch.equal(loss, value.detach())
        assert not mean.requires_grad
        torch.testing.assert_close(job.extra["grad_norm"], norm)
        torch.testing.assert_close(net.state_dict(), twin.state_dict())
    assert all(p.grad is None for p in net.parameters())


def test_an_infinite_loss_changes_nothing():
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    before = copy.deepcopy(net.state_dict())
    job = job_of(net, torch.optim.SGD(net.parameters(), lr=0.1), check_finite=True)
    loss, _ = run_in_pieces(job, forward, (net, torch.randn(4, 3), torch.full((4, 2), float("inf"))))
    assert loss == float("inf")
    assert not job.extra["finite"]
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_a_micro_batch_that_is_not_finite_is_as_if_it_never_was():
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    twin = copy.deepcopy(net)
    job, reference = (
        job_of(m, torch.optim.SGD(m.parameters(), lr=0.1), check_finite=True, accumulate=2) for m in (net, twin)
    )
    bad = torch.full((4, 3), float("nan")), torch.randn(4, 2)
    for good in batches(4):
        run_in_pieces(reference, forward, (twin, *good))
        run_in_pieces(job, forward, (net, *bad))
        assert not job.extra["finite"]
        run_in_pieces(job, forward, (net, *good))
        assert job.extra["finite"]
        torch.testing.assert_close(net.state_dict(), twin.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_an_optimizer_that_evaluates_the_loss_itself(clip_norm):
    net = torch.nn.Linear(3, 2)
    twin = copy.deepcopy(net)
    ((x, y),) = batches(1)
    reference = torch.optim.LBFGS(twin.parameters(), max_iter=3)

    def closure():
        reference.zero_grad()
        loss = F.mse_loss(twin(x), y)
        loss.backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
        return loss

    expected = reference.step(closure)
    job = job_of(net, torch.optim.LBFGS(net.parameters(), max_iter=3), clip_norm=clip_norm)
    loss, _ = run_in_pieces(job, forward, (net, x, y))
    assert loss == expected.detach()
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
