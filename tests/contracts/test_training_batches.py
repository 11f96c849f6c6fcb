"""Batches of every kind a loader may yield: sizes, layouts, types, and what surrounds the call."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tessera
from tests.contracts.against_eager import (
    PIECES,
    WHOLE,
    Job,
    Written,
    assert_trains_like_eager,
    mlp,
    momentum,
    vectors,
    written,
)

F64 = torch.float64


def _layouts():
    """The same shapes in changing layouts: transposed, strided, expanded."""
    batches = vectors(8, 8, 8, 8, 8)
    return [
        (x.t().contiguous().t() if i % 2 else x[:1].expand(8, 5) if i == 4 else x, torch.cat([y, y], 1)[:, ::2])
        for i, (x, y) in enumerate(batches)
    ]


def _dtypes():
    return [(x.float() if i % 2 else x, y) for i, (x, y) in enumerate(vectors())]


def _scalars():
    return [(x, i, i * 0.5, bool(i % 2), y) for i, (x, y) in enumerate(vectors(*[8] * 6))]


def _options(module, x, count, factor, flag):
    y = module.layer(x) * (count + 1)
    return y + factor if flag else y


def _layer_drop():
    return [(x, 1 + i % 2, y) for i, (x, y) in enumerate(vectors(*[8] * 5))]


def _dropped(module, x, count):
    for layer in module.layers[:count]:
        x = torch.relu(layer(x))
    return module.layer(x)


def _nested():
    return [({"x": x, "more": [x * 2, {"mask": x > 0}]}, (y, y * 2)) for x, y in vectors()]


def _from_nested(module, batch):
    return module.layer(batch["x"] + batch["more"][0]).where(batch["more"][1]["mask"][:, :3], 0.0)


def _written_input(module, x):
    return module.layer(x.mul_(2))


@pytest.mark.parametrize(
    "job",
    [
        Job(name="size 1 in between", batches=lambda: vectors(8, 8, 1, 1, 8, 3), compilations=3),
        Job(name="size 1 first", batches=lambda: vectors(1, 1, 8, 3, 1), compilations=3),
        Job(name="size 0 in between", batches=lambda: vectors(8, 0, 8), rung=""),
        Job(name="layouts", batches=_layouts, rung=WHOLE),
        Job(name="dtypes", module=written(lambda m, x: m.layer(x.double())), batches=_dtypes, compilations=2),
        Job(name="Python numbers", module=written(_options), batches=_scalars),
        Job(
            name="a Python number that chooses layers",
            module=written(_dropped, layers=lambda: nn.ModuleList([nn.Linear(5, 5) for _ in range(2)])),
            batches=_layer_drop,
            compilations=2,
        ),
        Job(
            name="nested batches",
            module=written(_from_nested),
            batches=_nested,
            loss=lambda p, y: F.mse_loss(p, y[0]) + F.l1_loss(p, y[1]),
        ),
        Job(name="an input is written to", module=written(_written_input)),
        Job(name="accumulate 4", accumulate=4, batches=lambda: vectors(*[8] * 8), compilations=2),
        Job(name="accumulate 4, ragged", accumulate=4, batches=lambda: vectors(8, 8, 8, 5, 8, 8, 5, 8)),
        Job(
            name="accumulate 2, frozen half way",
            accumulate=2,
            batches=lambda: vectors(*[8] * 6),
            edit=lambda step, net, o: net[0].requires_grad_(step != 3) and None,
        ),
        Job(
            name="accumulate 2, eval half way",
            accumulate=2,
            batches=lambda: vectors(*[8] * 6),
            edit=lambda step, net, o: net.train(step != 3) and None,
        ),
        Job(
            name="accumulate 3, down to pieces half way",
            accumulate=3,
            batches=lambda: vectors(*[8] * 6),
            edit=lambda step, net, o: net[0].weight.register_hook(lambda g: g * 2) and None if step == 2 else None,
            rung="",
        ),
        Job(
            name="accumulate 2, lr structure changed half way",
            accumulate=2,
            batches=lambda: vectors(*[8] * 6),
            edit=lambda step, net, o: o[0].param_groups[0].update(maximize=step >= 3),
        ),
        Job(
            name="autocast in turn",
            double=False,
            batches=lambda: [(x.float(), y.float()) for x, y in vectors(*[8] * 4)],
            loss=lambda p, y: F.mse_loss(p.float(), y),
            around=lambda: torch.autocast("cpu", torch.bfloat16),
            tolerance=2e-3,
            compilations=1,
        ),
    ],
    ids=str,
)
def test_trains_as_eager_does(job):
    assert_trains_like_eager(dataclasses.replace(job, optimizer=momentum))


def _trained(around, batches, **options):
    torch.manual_seed(0)
    net = mlp().double()
    step = tessera.train_step(net, F.mse_loss, torch.optim.SGD(net.parameters(), lr=0.1), **options)
    losses = []
    for batch in batches:
        with around():
            losses.append(float(step(*batch)))
    return losses, step


def test_no_grad_around_the_step_changes_nothing():
    expected, _ = _trained(contextlib.nullcontext, vectors())
    found, step = _trained(torch.no_grad, vectors())
    assert found == expected
    assert len(step.report.compilations) == 1


def test_tensors_made_in_inference_mode_are_fine_inputs():
    expected, _ = _trained(contextlib.nullcontext, vectors())
    with torch.inference_mode():
        batches = [(x.clone(), y.clone()) for x, y in vectors()]
    assert _trained(contextlib.nullcontext, batches)[0] == pytest.approx(expected, abs=1e-12)


def test_autocast_on_and_off_are_two_programs():
    calls = [False, True, False, True]
    torch.manual_seed(0)
    net = mlp()
    dtypes = []

    def loss(prediction, target):
        dtypes.append(prediction.dtype)
        return F.mse_loss(prediction.float(), target)

    step = tessera.train_step(net, loss, torch.optim.SGD(net.parameters(), lr=0.0))
    x, y = torch.randn(8, 5), torch.randn(8, 3)
    losses = []
    for on in calls:
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            losses.append(float(step(x, y)))
    assert losses[0] == losses[2]
    assert losses[1] == losses[3]
    assert losses[0] != losses[1]


def test_a_loss_that_is_no_scalar_or_needs_no_gradient_is_an_error():
    x, y = vectors(8)[0]
    for loss, words in [
        (lambda p, t: (p - t) ** 2, r"shape \[8, 3\]"),
        (lambda p, t: (F.mse_loss(p, t),), "a tuple"),
        (lambda p, t: 3.0, "a float"),
        (lambda p, t: F.mse_loss(p.detach(), t), "does not depend on any trainable parameter"),
    ]:
        net = mlp().double()
        weights = net[0].weight.detach().clone()
        step = tessera.train_step(net, loss, torch.optim.SGD(net.parameters(), lr=0.1))
        with pytest.raises(tessera.errors.LossError, match=words):
            step(x, y)
        torch.testing.assert_close(net[0].weight, weights, rtol=0, atol=0)


def test_metrics_are_those_of_the_step_and_know_the_gradient_norm():
    metrics = {"mae": lambda p, y: (p - y).abs().mean(), "prediction": lambda p, y: p}
    torch.manual_seed(0)
    net = mlp().double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    step = tessera.train_step(net, F.mse_loss, optimizer, clip_norm=0.01, metrics=metrics)
    for x, y in vectors(8, 8, 5):
        prediction = net(x)
        F.mse_loss(prediction, y).backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), 1e9)
        net.zero_grad()
        step(x, y)
        torch.testing.assert_close(step.metrics["mae"], (prediction - y).abs().mean().detach(), rtol=0, atol=1e-12)
        torch.testing.assert_close(step.metrics["prediction"], prediction.detach(), rtol=0, atol=1e-12)
        torch.testing.assert_close(step.metrics["grad_norm"], norm, rtol=0, atol=1e-12)
        assert not step.metrics["prediction"].requires_grad


def test_values_that_are_not_finite_leave_everything_as_it_was():
    def logarithm(module, x):
        return module.layer(torch.log(x))

    torch.manual_seed(0)
    net = Written(logarithm, layer=nn.Linear(5, 3), norm=nn.BatchNorm1d(5))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    step = tessera.train_step(net, F.mse_loss, optimizer, check_finite=True)
    x, y = torch.rand(8, 5) + 0.1, torch.randn(8, 3)
    step(x, y)
    before = [p.detach().clone() for p in net.parameters()], optimizer.state_dict()["state"]
    bad = x.clone()
    bad[0, 0] = -1.0
    with pytest.raises(tessera.errors.NonFiniteError, match=r"aten\.log\.") as raised:
        step(bad, y)
    assert raised.value.where.file == __file__
    assert raised.value.where.code == "return module.layer(torch.log(x))"
    torch.testing.assert_close([p.detach() for p in net.parameters()], before[0], rtol=0, atol=0)
    step(x, y)
    assert not torch.equal(net.layer.weight, before[0][0])


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_micro_batch_that_is_not_finite_does_not_count(in_pieces):
    def forward(module, x):
        y = module.norm(module.layer(x))
        while in_pieces and y.sum() > 1e9:
            y = y * 0.5
        return y

    good, nan = vectors(*[8] * 6), vectors(8)[0]
    nan[0][0, 0] = float("nan")

    def trained(batches):
        torch.manual_seed(0)
        net = Written(forward, layer=nn.Linear(5, 3), norm=nn.BatchNorm1d(3)).double()
        step = tessera.train_step(net, F.mse_loss, momentum(net), accumulate=2, check_finite=True)
        for batch in batches:
            with pytest.raises(tessera.errors.NonFiniteError) if batch is nan else contextlib.nullcontext():
                step(*batch)
        assert step.report.rung.startswith(PIECES if in_pieces else WHOLE)
        return net.state_dict()

    expected = trained(good)
    found = trained([nan, *good[:3], nan, *good[3:]])
    assert found.pop("norm.num_batches_tracked") == expected.pop("norm.num_batches_tracked")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_batch_that_holds_nan_is_named():
    net = mlp()
    step = tessera.train_step(net, F.mse_loss, torch.optim.SGD(net.parameters(), lr=0.1), check_finite=True)
    x, y = torch.randn(8, 5), torch.randn(8, 3)
    x[3, 2] = float("nan")
    with pytest.raises(tessera.errors.NonFiniteError) as raised:
        step(x, y)
    assert "random numbers" not in str(raised.value)
