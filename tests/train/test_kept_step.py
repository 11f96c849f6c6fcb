from __future__ import annotations

import copy

import torch
import torch.nn.functional as F

from tessera.debug.shadow import Shadow
from tessera.train.kept_step import kept_step


def make(module, optimizer, **changes):
    arguments = {"loss": F.mse_loss, "clip_norm": None, "accumulate": 1, "metrics": {}} | changes
    return kept_step(module, arguments.pop("loss"), [optimizer], **arguments)


def test_the_same_training_has_the_same_step():
    module = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    step = make(module, optimizer)
    assert make(module, optimizer) is step


def test_another_training_has_another_step():
    module = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    step = make(module, optimizer)
    others = {"loss": F.l1_loss}, {"clip_norm": 1.0}, {"metrics": {"error": F.l1_loss}}, {"tune": 3.0}
    for changes in (*others, {"verify": Shadow()}):
        assert make(module, optimizer, **changes) is not step
    assert make(torch.nn.Sequential(module), optimizer) is not step


def test_other_optimizers_have_another_step():
    module = torch.nn.Linear(2, 1)
    first, second, third = (torch.optim.SGD([p], lr=0.1) for p in (module.weight, module.bias, module.bias))
    step = kept_step(module, F.mse_loss, [first, second], clip_norm=None, accumulate=1, metrics={})
    assert kept_step(module, F.mse_loss, [first, second], clip_norm=None, accumulate=1, metrics={}) is step
    assert kept_step(module, F.mse_loss, [first, third], clip_norm=None, accumulate=1, metrics={}) is not step


def test_a_step_that_may_be_halfway_is_not_used_again():
    module = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    assert make(module, optimizer, accumulate=2) is not make(module, optimizer, accumulate=2)


def test_copies_of_the_optimizer_start_without():
    module = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    make(module, optimizer)
    assert vars(copy.deepcopy(optimizer)).keys() < vars(optimizer).keys()
    assert optimizer.state_dict().keys() == {"state", "param_groups"}
