"""What a user changes between two steps counts in the next one, exactly as in eager PyTorch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules import module as modules

from tests.contracts.against_eager import WHOLE, Job, adamw, assert_trains_like_eager, momentum, vectors

FIVE = (8, 8, 8, 8, 8)


def _halve(tensor):
    with torch.no_grad():
        tensor.mul_(0.5)


def _load_model(net, optimizer):
    net.load_state_dict({name: value * 0.5 for name, value in net.state_dict().items()})


def _assign_model(net, optimizer):
    net.load_state_dict({name: value * 0.5 for name, value in net.state_dict().items()}, assign=True)


def _load_optimizer(net, optimizer):
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 0.1
    optimizer.load_state_dict(state)


def _replace_parameter(net, optimizer):
    net[0].weight = nn.Parameter(net[0].weight.detach() * 0.5)


def _swap_data(net, optimizer):
    net[0].weight.data = net[0].weight.data * 0.5


def _swap_layout(net, optimizer):
    net[0].weight.data = (net[0].weight.data * 0.5).t().contiguous().t()


def _share_storage(net, optimizer):
    net[2].bias.data = net[0].bias.data[:3]


def _set(**options):
    def edit(net, optimizer):
        optimizer.param_groups[0].update(options)

    return edit


def _train_unknown_parameter(net, optimizer):
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})


def _replace_step(net, optimizer):
    plain = optimizer.step

    def step(*args):
        plain(*args)
        _halve(net[0].weight)

    optimizer.step = step


# What is done before the third step: (module, optimizer) -> None.
EDITS = {
    "eval": lambda net, optimizer: net.eval(),
    "freeze a parameter": lambda net, optimizer: net[0].weight.requires_grad_(False),
    "freeze a layer": lambda net, optimizer: net[2].requires_grad_(False),
    "edit a weight in place": lambda net, optimizer: _halve(net[0].weight),
    "edit a buffer of the optimizer in place": lambda net, optimizer: _halve(optimizer.state[net[0].weight]["exp_avg"]),
    "swap .data": _swap_data,
    "swap .data for another layout": _swap_layout,
    "two parameters come to share memory": _share_storage,
    "replace a Parameter": _replace_parameter,
    "load_state_dict of the model": _load_model,
    "load_state_dict of the model, assign=True": _assign_model,
    "load_state_dict of the optimizer": _load_optimizer,
    "clear the optimizer's state": lambda net, optimizer: optimizer.state.clear(),
    "drop the state of one parameter": lambda net, optimizer: optimizer.state.pop(net[0].weight),
    "replace a state tensor": lambda net, optimizer: optimizer.state[net[0].weight].update(step=torch.tensor(0.0)),
    "lr": _set(lr=0.1),
    "lr 0": _set(lr=0.0),
    "lr as int": _set(lr=1),
    "weight_decay 0": _set(weight_decay=0.0),
    "betas": _set(betas=(0.5, 0.7)),
    "maximize": _set(maximize=True),
    "amsgrad": _set(maximize=True, eps=1e-3),
    "replace an activation": lambda net, optimizer: net.__setitem__(1, nn.ReLU()),
    "replace a forward": lambda net, optimizer: setattr(net[1], "forward", torch.relu),
    "forward hook": lambda net, optimizer: net[0].register_forward_hook(lambda m, i, o: o * 2) and None,
    "forward pre-hook": lambda net, optimizer: net[0].register_forward_pre_hook(lambda m, i: (i[0] * 2,)) and None,
    "full backward hook": lambda net, optimizer: (
        net[2].register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,)) and None
    ),
    "parameter hook": lambda net, optimizer: net[0].weight.register_hook(lambda g: g * 2) and None,
    "post-accumulate hook": lambda net, optimizer: (
        net[0].weight.register_post_accumulate_grad_hook(lambda p: _halve(p.grad)) and None
    ),
    "step hook": lambda net, optimizer: optimizer.register_step_post_hook(lambda *a: _halve(net[0].weight)) and None,
    "step pre-hook": lambda net, optimizer: (
        optimizer.register_step_pre_hook(lambda *a: _halve(net[0].weight.grad)) and None
    ),
    "replaced step": _replace_step,
}


# The others are not about the optimizer, or about any.
OF_ADAMW = (
    "edit a buffer of the optimizer in place",
    "load_state_dict of the optimizer",
    "clear the optimizer's state",
    "drop the state of one parameter",
    "replace a state tensor",
    "lr",
    "betas",
    "amsgrad",
    "step hook",
)


def _at(when, edit):
    def apply(step, net, optimizers):
        if step == when:
            edit(net, optimizers[0])

    return apply


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_between_steps_counts(name):
    assert_trains_like_eager(
        Job(
            name=name,
            optimizer=adamw if name in OF_ADAMW else momentum,
            batches=lambda: vectors(*FIVE),
            edit=_at(2, EDITS[name]),
            rung="",
            compilations=4,
        )
    )


def _freeze_then_not(step, net, optimizers):
    if step in (0, 3):
        net[0].weight.requires_grad_(step == 3)


def _eval_and_back(step, net, optimizers):
    net.train(step % 2 == 0)


def _add_group(step, net, optimizers):
    if step == 2:
        optimizers[0].add_param_group({"params": [net[2].weight], "lr": 0.2})


def _append_to_group(step, net, optimizers):
    if step == 2:
        optimizers[0].param_groups[0]["params"].append(net[2].weight)


def _load_sgd(step, net, optimizers):
    if step == 2:
        state = optimizers[0].state_dict()
        state["param_groups"][0]["lr"] = 0.5
        optimizers[0].load_state_dict(state)
    if step == 3:
        optimizers[0].param_groups[0]["lr"] = 0.01


def _whole_numbers(step, net, optimizers):
    optimizers[0].param_groups[0]["lr"] = [1, 0.5, 0, 2, 0.1][step % 5]


def _fill_tensor_lr(step, net, optimizers):
    optimizers[0].param_groups[0]["lr"].fill_(0.01 * (step + 1))


@pytest.mark.parametrize(
    "job",
    [
        Job(name="freeze, then train again", edit=_freeze_then_not, compilations=2),
        Job(name="whole numbers for lr", edit=_whole_numbers, compilations=1),
        Job(
            name="train and eval in turn",
            module=lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3)),
            edit=_eval_and_back,
            compilations=2,
        ),
        Job(name="add_param_group", optimizer=lambda m: torch.optim.AdamW([m[0].weight], lr=0.01), edit=_add_group),
        Job(
            name="append to a group",
            optimizer=lambda m: torch.optim.SGD([m[0].weight], lr=0.05),
            edit=_append_to_group,
        ),
        Job(
            name="load_state_dict of an optimizer without state",
            optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.05),
            edit=_load_sgd,
        ),
        Job(
            name="tensor lr",
            optimizer=lambda m: torch.optim.AdamW(m.parameters(), lr=torch.tensor(1e-2)),
            edit=_fill_tensor_lr,
            rung="",
        ),
        Job(
            name="tensor lr of SGD",
            optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=torch.tensor(1e-2)),
            edit=_fill_tensor_lr,
            rung="",
        ),
    ],
    ids=str,
)
def test_repeated_edits_count(job):
    assert_trains_like_eager(job)


def test_a_hook_on_every_module_counts():
    handles = []

    def edit(step, net, optimizers):
        if step == 1:
            handles.append(
                modules.register_module_forward_hook(lambda m, i, o: o * 0.5 if isinstance(m, nn.Linear) else None)
            )
        if step == 3:
            handles.pop().remove()

    assert_trains_like_eager(Job(name="global hook", edit=edit, batches=lambda: vectors(*FIVE), rung=""))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_checkpoint_resumes_a_run(accumulate):
    """Saved after four steps, loaded into new objects, two more: as if nothing had happened."""
    import torch.nn.functional as F

    import tessera
    from tests.contracts.against_eager import mlp

    def start():
        net = mlp().double()
        optimizer = adamw(net)
        return net, optimizer, tessera.train_step(net, F.mse_loss, optimizer, accumulate=accumulate)

    batches = vectors(8, 8, 8, 8, 8, 8)
    torch.manual_seed(0)
    net, optimizer, step = start()
    for batch in batches[:4]:
        step(*batch)
    saved = copy.deepcopy((net.state_dict(), optimizer.state_dict(), step.state_dict()))
    expected = [float(step(*batch)) for batch in batches[4:]]
    net2, optimizer2, step2 = start()
    net2.load_state_dict(saved[0])
    optimizer2.load_state_dict(saved[1])
    step2.load_state_dict(saved[2])
    resumed = [float(step2(*batch)) for batch in batches[4:]]
    assert resumed == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(dict(net2.named_parameters()), dict(net.named_parameters()), rtol=0, atol=1e-12)
    assert step2.report.rung.startswith(WHOLE)
