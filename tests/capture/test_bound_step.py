"""A compiled step on the tensors that it is bound to, with a stand-in for what was compiled."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera import torch_internals
from tessera.backend.inductor import Executable
from tessera.capture.bound_step import BoundStep, StaleProgram
from tessera.capture.step_down import CannotCapture
from tessera.capture.training_job import StepOptions, TrainingJob
from tessera.program import Compilation, Report


def bound(accumulate=1, extra=()):
    """A step that counts its calls in its parameter, and returns the batch and what it was told to."""
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters())
    job = TrainingJob("a job", model, [optimizer], StepOptions(accumulate=accumulate), Report("a job"))
    handed = []

    def call(inputs):
        handed.append([len(inputs), *map(id, inputs)])
        with torch.no_grad():
            model.weight.add_(1)
        return [inputs[1] * 2, *(torch.tensor(float(i)) for i in range(len(extra)))]

    executable = Executable(call, torch_internals.InductorOutput(call, "", {}), None, Compilation("x"))

    class Step(BoundStep):
        def __init__(self):
            self.job, self.updates, self.scaling = job, [], None
            self.expected, self.trained = [(0, model.weight)], [model.weight]
            self.graph_outputs, self.same, self.mutated = [0], {1: 1}, ()
            self.variants = {True: (executable, list(extra)), False: (executable, [])}
            self._hook_count = torch_internals.hook_count()
            self._begin()

    return model, job, Step(), handed


def test_outputs_are_put_where_they_belong():
    model, job, step, _ = bound(extra=["grad_norm"])
    batch = torch.ones(2)
    doubled, same = step(model.weight, batch)
    assert torch.equal(doubled, 2 * batch)
    assert same is batch
    assert job.extra == {"grad_norm": torch.tensor(0.0)}
    version = model.weight._version
    step(model.weight, batch)
    assert model.weight._version > version


def test_a_write_to_the_batch_is_counted():
    model = torch.nn.Linear(3, 1)
    step = tessera.train_step(model, lambda y, t: (y - t.zero_()).square().mean(), torch.optim.SGD(model.parameters()))
    x, target = torch.ones(2, 3), torch.ones(2, 1)
    step(x, target)
    assert step.report.rung == "whole step in one Program"
    assert not target.any()
    assert (x._version, target._version > 0) == (0, True)


def test_another_parameter_or_a_hook_makes_it_stale():
    model, _, step, handed = bound()
    with pytest.raises(StaleProgram):
        step(torch.nn.Parameter(torch.ones(1)), torch.ones(2))
    model.bias.register_hook(lambda g: g)  # not one of its own
    step(model.weight, torch.ones(2))
    model.weight.register_hook(lambda g: g)
    with pytest.raises(StaleProgram):
        step(model.weight, torch.ones(2))
    assert len(handed) == 1


def test_sums_are_handed_over_between_updates():
    model, job, step, handed = bound(accumulate=2)
    for expected in (1, 0, 1):
        step(model.weight, torch.ones(2))
        assert job.micro_step == expected
        assert len(job.accumulators) == expected
    assert [count for count, *_ in handed] == [3, 3, 3]
    assert handed[0][3] == handed[1][3]
    job.accumulators[model.bias] = torch.zeros(1)
    with pytest.raises(CannotCapture, match="other parameters took part"):
        step(model.weight, torch.ones(2))
