from __future__ import annotations

import torch

from tessera.capture.finite import not_finite_error
from tessera.capture.loss_scale import LossScale, Scaling


class Net(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("calls", torch.zeros(()))
        self.function = function

    def forward(self, x):
        self.calls += 1
        torch.rand(())
        return self.function(x * self.weight)


def forward(module, loss, metrics, batch, named):
    return module(*batch, **named).sum(), []


def error(function, *batch, loss=float("nan"), module=None, rule=None):
    module = module or Net(function)
    arguments = (module, None, (), batch, {})
    scaling = rule and Scaling(rule, in_force=True)
    return not_finite_error(forward, arguments, module, torch.tensor(loss), scaling), module


def test_the_log_of_a_negative_number_is_named_with_its_line():
    def function(x):
        masked = x.masked_fill(x > 5, float("inf"))  # on purpose, and not the cause
        return torch.log(torch.where(masked.isinf(), x, -x))

    found, _ = error(function, torch.ones(3))
    assert "The loss became nan. The first value that was not finite came from aten.log." in str(found)
    assert found.where.file == __file__
    assert found.where.code == "return torch.log(torch.where(masked.isinf(), x, -x))"


def test_a_gradient_is_traced_back_to_its_forward_line():
    def function(x):
        return torch.sqrt(x)

    found, module = error(function, torch.zeros(3), loss=0.0)
    assert "A gradient is not finite although the loss is 0." in str(found)
    assert "in the backward pass" in str(found)
    assert found.where.code == "return torch.sqrt(x)"
    assert module.weight.grad is None


def test_a_bad_batch_is_named():
    found, _ = error(torch.sum, torch.tensor([1.0, float("inf"), 0.0]))
    assert "the batch: tensor 0 of it holds NaN or infinity" in str(found)
    assert found.where is None


def test_a_bad_parameter_is_named():
    module = Net(torch.sum)
    module.weight.data[1] = float("nan")
    found, _ = error(torch.sum, torch.ones(3), module=module)
    assert "the parameter weight, which held it before the step" in str(found)


def test_looking_for_it_leaves_no_trace():
    before = torch.get_rng_state()
    found, module = error(torch.sum, torch.ones(3))
    assert "it depends on the random numbers drawn" in str(found)
    assert module.calls == 0
    assert module.weight.grad is None
    assert torch.equal(torch.get_rng_state(), before)


def test_a_gradient_that_overflows_by_its_scale_is_found_with_the_scale():
    rule = LossScale(2.0**100, growth=1.0, backoff=1.0)
    found, _ = error(lambda x: x * 1e20, torch.ones(3), loss=3e20, rule=rule)
    assert "aten.mul in the backward pass" in str(found)
    assert found.fix.endswith('; a loss_scale="auto" in place of 1.26765e+30 adapts itself.')


def test_a_scale_that_fell_in_vain_is_told():
    found, _ = error(torch.log, -torch.ones(3), rule=LossScale(0.25))
    assert found.received == "The loss became nan, and the loss scale has fallen to 0.25 in vain."
    assert "aten.log" in found.expected
