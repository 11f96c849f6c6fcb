from __future__ import annotations

import copy
import logging

import pytest
import torch
import torch.nn.functional as F

from tessera.capture.train_step import train_step
from tessera.errors import BatchError, LossError, OptimizerError, SettingError


def net():
    return torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def test_many_steps_in_one_call_are_the_steps_one_by_one():
    model = net()
    twin = copy.deepcopy(model)
    step, one = (
        train_step(m, "mse", torch.optim.AdamW(m.parameters(), lr=0.01), clip_norm=0.5, metrics={"l1": F.l1_loss})
        for m in (model, twin)
    )
    x, y = torch.randn(5, 4, 2), torch.randn(5, 4, 1)
    assert step.run(x, y) is None  # nothing was captured yet
    assert step(x[0], y[0]) == one(x[0], y[0])
    losses = step.run(x[1:], y[1:])
    expected, norms, distances = [], [], []
    for i in range(1, 5):
        expected.append(one(x[i], y[i]))
        norms.append(one.metrics["grad_norm"])
        distances.append(one.metrics["l1"])
    assert torch.equal(losses, torch.stack(expected))
    assert torch.equal(step.metrics["grad_norm"], torch.stack(norms))
    assert torch.equal(step.metrics["l1"], torch.stack(distances))
    torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=0, atol=0)
    assert step.report.rung == "whole step in one Program"
    assert len(step.report.compilations) == 1


def test_an_optimizer_over_other_parameters():
    model = net()
    optimizer = torch.optim.SGD([*net().parameters(), model[0].bias])
    with pytest.raises(OptimizerError) as raised:
        train_step(model, "mse", optimizer)
    assert str(raised.value) == (
        "4 of the 5 parameters of this SGD are not those of this Sequential. "
        "A training step updates the parameters of the module it runs. "
        "Write SGD(model.parameters(), ...) with the module that is trained, after any change of layers."
    )


def test_accumulating_over_no_calls():
    model = net()
    for clip_norm in (0, -1.0, float("nan"), "1"):  # a negative one would turn every update round
        with pytest.raises(SettingError, match=r"clip_norm=.* a number above 0\. Write for example clip_norm=1.0"):
            train_step(model, "mse", torch.optim.SGD(model.parameters()), clip_norm=clip_norm)
    with pytest.raises(SettingError, match="accumulate=0 was passed.*at least 1.*Write accumulate=1"):
        train_step(model, "mse", torch.optim.SGD(model.parameters()), accumulate=0)


def test_metrics_without_a_loss_have_no_prediction_to_compare():
    model = net()
    optimizer = torch.optim.SGD(model.parameters())
    with pytest.raises(SettingError, match=r"loss=None was passed with the metrics error\..*leave the metrics out"):
        train_step(model, None, optimizer, metrics={"error": torch.dist})


def test_a_module_without_a_loss_of_its_own():
    model = net()
    step = train_step(model, None, torch.optim.SGD(model.parameters()))
    with pytest.raises(LossError, match=r"The module returned a tensor of shape \[4, 1\], and loss=None was passed"):
        step(torch.randn(4, 2))


def test_a_batch_that_eager_refuses_raises_eagers_error_and_prints_nothing_else():
    model = net()
    step = train_step(model, "mse", torch.optim.SGD(model.parameters()))
    said, handler = [], logging.Handler()
    handler.emit = said.append
    loud = [logging.getLogger(name) for name in ("torch._dynamo.convert_frame", "torch._subclasses.fake_tensor")]
    for logger in loud:
        logger.addHandler(handler)
    try:
        with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied") as raised:
            step(torch.randn(4, 7), torch.randn(4, 1))
    finally:
        for logger in loud:
            logger.removeHandler(handler)
    assert raised.type is RuntimeError
    assert [record.getMessage() for record in said] == []


def test_a_loss_that_is_no_number():
    model = net()
    before = copy.deepcopy(model.state_dict())
    step = train_step(model, lambda p, t: (p - t) ** 2, torch.optim.SGD(model.parameters()))
    with pytest.raises(LossError, match=r"a tensor of shape \[4, 1\].*0-d tensor.*loss.mean\(\)"):
        step(torch.randn(4, 2), torch.randn(4, 1))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_an_optimizer_of_a_stranger_runs_eagerly_and_is_named():
    class Mine(torch.optim.SGD):
        pass

    model = net()
    twin = copy.deepcopy(model)
    step, reference = train_step(model, "mse", Mine(model.parameters(), lr=0.1)), Mine(twin.parameters(), lr=0.1)
    x, y = torch.randn(4, 2), torch.randn(4, 1)
    loss = step(x, y)
    expected = F.mse_loss(twin(x), y)
    expected.backward()
    reference.step()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(model.state_dict(), twin.state_dict())
    assert step.report.rung == "forward and backward in pieces, update eager"
    (reason,) = step.report.step_downs
    assert f"Mine is defined in {__name__}" in reason.reason


class Doubling(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = net()
        self.branches = [torch.nn.Linear(2, 1)]  # a list, so that torch does not know of it

    def forward(self, x):
        return self.inner(x) + self.branches[0](x)


@pytest.mark.parametrize("find", [lambda m: m, lambda m: m.inner[0], lambda m: m.inner[1], lambda m: m.branches[0]])
@pytest.mark.parametrize("captured", [True, False], ids=["after", "before"])
def test_hooks_of_layers_are_called(find, captured):
    model, calls = Doubling(), []
    x, y = torch.randn(4, 2), torch.randn(4, 1)
    step = train_step(model, "mse", torch.optim.SGD(model.parameters(), lr=0.0))
    if captured:
        step(x, y)
    handle = find(model).register_forward_hook(lambda _module, _inputs, output: calls.append(1) or output * 0)
    hooked = step(x, y)
    assert calls
    torch.testing.assert_close(hooked, torch.nn.functional.mse_loss(model(x).detach(), y))
    handle.remove()
    called = len(calls)
    plain = step(x, y)
    assert len(calls) == called
    torch.testing.assert_close(plain, torch.nn.functional.mse_loss(model(x).detach(), y))


@pytest.mark.parametrize("many", [False, True], ids=["calls", "run"])
def test_gradient_and_step_hooks_are_called(many):
    model, seen = net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(3, 4, 2), torch.randn(3, 4, 1)
    step = train_step(model, "mse", optimizer)
    step(x[0], y[0])
    parameter = next(model.parameters())
    parameter.register_hook(lambda gradient: seen.append("gradient"))
    optimizer.register_step_post_hook(lambda *_: seen.append("step"))
    if many:
        assert step.run(x, y) is None
    for one in zip(x, y, strict=True):
        step(*one)
    assert seen == ["gradient", "step"] * 3


def weighted(prediction, target, weight):
    return (weight * (prediction - target).square().squeeze(1)).mean()


class Eager(torch.optim.SGD):
    """A stranger's optimizer: its update is never part of a Program."""


@pytest.mark.parametrize(
    ("optimizer", "rung"), [(torch.optim.SGD, "whole step"), (Eager, "forward and backward in pieces")]
)
def test_the_last_values_of_a_batch_go_to_the_loss(optimizer, rung):
    model = net()
    twin = copy.deepcopy(model)
    reference = torch.optim.SGD(twin.parameters(), lr=0.1)
    metrics = {"l1": F.l1_loss}
    step = train_step(model, weighted, optimizer(model.parameters(), lr=0.1), targets=2, metrics=metrics)
    x, y, weight = torch.randn(5, 4, 2), torch.randn(5, 4, 1), torch.rand(5, 4)
    found, losses = [step(x[0], y[0], weight[0])], []
    distances = [step.metrics["l1"]]
    many = step.run(x[1:], y[1:], weight[1:])
    if rung == "whole step":
        found, distances = [*found, *many], [*distances, *step.metrics["l1"]]
    else:
        assert many is None
        for i in range(1, 5):
            found.append(step(x[i], y[i], weight[i]))
            distances.append(step.metrics["l1"])
    for i in range(5):
        prediction = twin(x[i])
        losses.append(weighted(prediction, y[i], weight[i]))
        torch.testing.assert_close(distances[i], F.l1_loss(prediction, y[i]).detach())
        reference.zero_grad()
        losses[-1].backward()
        reference.step()
    torch.testing.assert_close(found, [loss.detach() for loss in losses])
    torch.testing.assert_close(model.state_dict(), twin.state_dict())
    assert step.report.rung.startswith(rung)


def test_a_module_whose_only_inputs_are_named():
    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, *, x):
            return x * self.weight

    model = Scale()
    step = train_step(model, weighted, torch.optim.SGD(model.parameters()), targets=2)
    x, y, weight = torch.randn(4, 1), torch.randn(4, 1), torch.rand(4)
    torch.testing.assert_close(step(y, weight, x=x), weighted(x, y, weight))


@pytest.mark.parametrize(("targets", "loss"), [(0, "mse"), (-1, "mse"), (2, None)])
def test_numbers_of_targets_that_make_no_sense(targets, loss):
    model = net()
    with pytest.raises(SettingError, match=rf"^targets={targets} was passed.*Write targets=1"):
        train_step(model, loss, torch.optim.SGD(model.parameters()), targets=targets)


def test_a_batch_with_too_few_values():
    model = net()
    step = train_step(model, weighted, torch.optim.SGD(model.parameters()), targets=2)
    for call in (step, step.run):
        with pytest.raises(BatchError, match=r"called with 1 positional values.*last 2 go to the loss.*Write step\("):
            call(torch.randn(4, 2))
