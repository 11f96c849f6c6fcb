from __future__ import annotations

import copy

import pytest
import torch

from tessera.capture.step_kept import step_kept
from tessera.capture.train_step import train_step

X, Y = torch.randn(8, 4), torch.randint(0, 3, (8,))


def make(hooked: bool = False, **options):
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.5), torch.nn.Linear(6, 3)
    )
    if hooked:
        net[0].weight.register_hook(lambda gradient: gradient)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    return net, optimizer, train_step(net, "cross_entropy", optimizer, **options)


def everything(net, optimizer, step):
    return copy.deepcopy((net.state_dict(), optimizer.state_dict(), step.state_dict(), torch.get_rng_state()))


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize(
    ("options", "before"),
    [({}, 0), ({"accumulate": 3}, 2), ({"loss_scale": "dynamic", "clip_norm": 1.0}, 1), ({"hooked": True}, 1)],
    ids=["never stepped", "accumulate", "scaled", "in pieces"],
)
def test_all_is_as_before(options, before):
    net, optimizer, step = make(**options)
    for _ in range(before):
        step(X, Y)
    kept = everything(net, optimizer, step)
    with step_kept(step):
        for _ in range(4):
            step(X, Y)
        assert not same(kept, everything(net, optimizer, step))
    assert same(kept, everything(net, optimizer, step))


def test_what_follows_is_what_would_have_followed():
    net, optimizer, step = make()
    step(X, Y)
    torch.manual_seed(1)
    other = copy.deepcopy((net, optimizer.state_dict()))
    with step_kept(step):
        step(X, Y)
    compiled = len(step.report.compilations)
    loss = step(X, Y)
    assert len(step.report.compilations) == compiled  # nothing was captured anew
    optimizer_2 = torch.optim.AdamW(other[0].parameters(), lr=0.1)
    optimizer_2.load_state_dict(other[1])
    torch.manual_seed(1)
    expected = train_step(other[0], "cross_entropy", optimizer_2)(X, Y)
    assert torch.equal(loss, expected)
    assert same(net.state_dict(), other[0].state_dict())


def test_also_after_an_error():
    net, optimizer, step = make()
    step(X, Y)
    kept = everything(net, optimizer, step)

    def train_twice():
        step(X, Y)
        step(X, Y + 99)

    with pytest.raises(IndexError), step_kept(step):
        train_twice()
    assert same(kept, everything(net, optimizer, step))
