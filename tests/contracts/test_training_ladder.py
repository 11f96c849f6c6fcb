"""What one Program cannot hold trains as eager does; the Report names the line and what to write instead."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.against_eager import PIECES, WHOLE, Job, assert_trains_like_eager, mlp, written


def _branch(module, x):
    y = module.layer(x)
    if y.sum() > 0:  # here
        module.seen.append("positive")
        y = y * 2
    return y


def _print(module, x):
    y = module.layer(x)
    print("a forward that prints")  # here
    return y


def _item_branch(module, x):
    y = module.layer(x)
    module.seen.append(y.sum().item())
    return y if module.seen[-1] > 0 else y * 2  # here


def _while(module, x):
    y = module.layer(x)
    while y.abs().max() > 0.5:  # here
        y = y * 0.5
    return y


class _BackwardBranches(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 2 if x.sum() > 0 else gradient * 3  # here


class _RemembersNumber(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.number = float(x.sum())
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.number


class _WritesItsInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


def _skipped(module, x):
    torch.manual_seed(int(3))  # here
    return F.dropout(module.layer(x), 0.5)


def _marked(*functions):
    """file:line of the one line marked ``here`` in these functions."""
    for function in functions:
        lines, first = inspect.getsourcelines(function)
        for offset, line in enumerate(lines):
            if line.rstrip().endswith("# here"):
                return first + offset
    raise LookupError("no line is marked")


@pytest.mark.parametrize(
    ("forward", "marked"),
    [
        (_branch, _branch),
        (_print, _print),
        (_item_branch, _item_branch),
        (_while, _while),
        (_skipped, _skipped),
        (lambda m, x: _BackwardBranches.apply(m.layer(x)), _BackwardBranches),
    ],
    ids=["if on data", "print", "if on an item", "while on data", "manual_seed", "backward that branches"],
)
def test_the_report_names_the_line(forward, marked):
    step = assert_trains_like_eager(Job(name="steps down", module=written(forward), rung=PIECES))
    (down,) = (d for d in step.report.step_downs if d.rung.startswith(PIECES))
    assert down.where is not None, str(down)
    assert (down.where.file, down.where.line) == (__file__, _marked(marked)), str(down)
    assert down.where.code.endswith("# here")
    assert down.instead
    assert down.reason
    assert json.loads(step.report.to_json())["step_downs"][0]["where"]["line"] == down.where.line
    assert f"{__file__}:{down.where.line}" in str(step.report)


def test_printing_prints_at_every_step(capsys):
    assert_trains_like_eager(Job(name="prints", module=written(_print), rung=PIECES))
    assert capsys.readouterr().out.count("a forward that prints") == 8  # four steps of each


def _append(module, x):
    y = module.layer(x)
    module.seen.append(y.sum().item())
    return y


def _append_tensor(module, x):
    y = module.layer(x)
    module.seen.append(y)
    module.last_input = x
    return y


def _count(module, x):
    module.seen.append(len(module.seen))
    module.calls = getattr(module, "calls", 0) + 1
    return module.layer(x) * module.calls


def _with_hooks(add):
    def make():
        net = mlp()
        add(net)
        return net

    return make


def _halve_gradient(parameter):
    parameter.grad.mul_(0.5)


def _forward_hooks(net):
    net[0].register_forward_hook(lambda module, inputs, output: output * 2)
    net[2].register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    net.register_forward_hook(lambda module, inputs, output: output - 1)


@pytest.mark.parametrize(
    "job",
    [
        Job(name="appends numbers", module=written(_append), rung=""),
        Job(name="appends tensors and keeps its input", module=written(_append_tensor), rung=""),
        Job(name="counts in Python", module=written(_count), rung=""),
        Job(name="numpy in the middle", module=written(lambda m, x: m.layer(x) * float(x.numpy().mean())), rung=""),
        Job(name="keeps a view", module=written(lambda m, x: (setattr(m, "view", x.view(-1)), m.layer(x))[1]), rung=""),
        Job(name="forward hooks", module=_with_hooks(_forward_hooks), rung=WHOLE),
        Job(
            name="parameter gradient hook",
            module=_with_hooks(lambda net: net[0].weight.register_hook(lambda g: g * 2)),
            rung=PIECES,
        ),
        Job(
            name="post-accumulate hook",
            module=_with_hooks(lambda net: net[0].weight.register_post_accumulate_grad_hook(_halve_gradient)),
            rung=PIECES,
        ),
        Job(
            name="full backward hook",
            module=_with_hooks(lambda net: net[2].register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))),
            rung="",
        ),
        Job(name="Function with a number", module=written(lambda m, x: _RemembersNumber.apply(m.layer(x))), rung=""),
        Job(name="Function that writes", module=written(lambda m, x: _WritesItsInput.apply(m.layer(x) * 1)), rung=""),
    ],
    ids=str,
)
def test_side_effects_are_those_of_eager(job):
    step = assert_trains_like_eager(job)
    assert step.report.rung.startswith(WHOLE) or step.report.step_downs, str(step.report)


def test_an_optimizer_with_a_closure_trains_as_eager_does():
    import tessera

    def train(stepwise):
        torch.manual_seed(0)
        net = mlp().double()
        optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=4)
        draw = torch.Generator().manual_seed(1)
        step = stepwise(net, optimizer)
        losses = [
            float(step(torch.randn(8, 5, generator=draw).double(), torch.randn(8, 3, generator=draw).double()))
            for _ in range(3)
        ]
        return torch.tensor(losses), [p.detach() for p in net.parameters()], step

    def eagerly(net, optimizer):
        def step(x, y):
            def closure():
                optimizer.zero_grad()
                loss = F.mse_loss(net(x), y)
                loss.backward()
                return loss

            return optimizer.step(closure).detach()

        return step

    expected, parameters, _ = train(eagerly)
    losses, trained, step = train(lambda net, optimizer: tessera.train_step(net, F.mse_loss, optimizer))
    torch.testing.assert_close(losses, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(trained, parameters, rtol=1e-9, atol=1e-9)
    assert "LBFGS" in str(step.report.step_downs[0])


def test_an_error_of_the_users_is_raised_as_it_is_and_costs_nothing_later():
    import tessera

    class BadBatch(Exception):
        pass

    def forward(module, x):
        if x.shape[0] == 3:
            raise BadBatch("three", 3)
        return module.layer(x)

    torch.manual_seed(0)
    net = written(forward)()
    step = tessera.train_step(net, F.mse_loss, torch.optim.SGD(net.parameters(), lr=0.1))
    for size in (8, 3, 8, 8):
        weights = net.layer.weight.detach().clone()
        if size == 3:
            with pytest.raises(BadBatch) as raised:
                step(torch.randn(size, 5), torch.randn(size, 3))
            assert raised.value.args == ("three", 3)
            torch.testing.assert_close(net.layer.weight, weights, rtol=0, atol=0)
        else:
            step(torch.randn(size, 5), torch.randn(size, 3))
            assert not torch.equal(net.layer.weight, weights)
    assert step.report.rung.startswith(WHOLE), str(step.report)


@pytest.mark.parametrize("layer", [nn.Linear(4, 3), nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(5, 3))])
def test_a_shape_error_is_eagers(layer):
    import tessera

    x, y = torch.randn(8, 5), torch.randn(8, 3)
    with pytest.raises(RuntimeError) as expected:
        layer(x)
    step = tessera.train_step(layer, F.mse_loss, torch.optim.SGD(layer.parameters(), lr=0.1))
    with pytest.raises(RuntimeError) as raised:
        step(x, y)
    assert raised.value.explanation.said == str(expected.value)
    assert raised.type is expected.type


def test_a_label_out_of_range_is_eagers_error_and_the_weights_stay():
    import tessera

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 3))
    step = tessera.train_step(net, F.cross_entropy, torch.optim.SGD(net.parameters(), lr=0.1))
    x, y = torch.randn(8, 5), torch.randint(0, 3, (8,))
    step(x, y)
    weights = net[0].weight.detach().clone()
    y[0] = 7
    with pytest.raises(IndexError, match="7"):
        step(x, y)
    torch.testing.assert_close(net[0].weight, weights, rtol=0, atol=0)
    y[0] = 0
    step(x, y)
    assert not torch.equal(net[0].weight, weights)
