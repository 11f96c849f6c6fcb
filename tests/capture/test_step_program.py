from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from tessera import torch_internals
from tessera.backend.verify import verify
from tessera.capture.loss_scale import LossScale, Scaling
from tessera.capture.step_program import StepProgram
from tessera.capture.training_job import StepOptions, TrainingJob
from tessera.capture.update import record_update
from tessera.program import Report, Role


def assembled(net, optimizer, batch, *, final=True, scaling=None, **options):
    """The step as a Program, and the tensors that it runs on."""
    graphs = []

    def loss(x, y):
        return (F.mse_loss(net(x), y),)

    def backend(graph, inputs):
        graphs.append((graph, inputs))
        return graph

    torch.compile(loss, backend=backend, fullgraph=True)(*batch)
    ((graph, inputs),) = graphs
    job = TrainingJob("step", net, [optimizer], StepOptions(**options), Report("step"), scaling)
    joint = torch_internals.joint_graph(graph, inputs)
    update = record_update(optimizer, list(net.parameters()))
    made = StepProgram(job, joint, inputs, [update], final=final)
    verify(made.program)
    states = [slot.tensor for slot in update.slots]
    scale = scaling.tensors if scaling else []
    sums = [torch.zeros_like(p) for p in net.parameters()] if job.options.accumulate > 1 else []
    return made, [*inputs, *states, *update.hyper_parameters.tensors, *scale, *sums]


def run(made, tensors):
    with torch.no_grad():
        return made.program.graph_module(*tensors)


def batch():
    return torch.randn(4, 3), torch.randn(4, 2)


@pytest.mark.parametrize("scaling", [None, LossScale(8.0, interval=1)])
def test_the_graph_is_the_step(scaling):
    net = torch.nn.Linear(3, 2)
    twin = copy.deepcopy(net)
    optimizer, reference = (torch.optim.Adam(n.parameters(), lr=0.1) for n in (net, twin))
    x, y = batch()
    scaling = scaling and Scaling(scaling, in_force=True)
    made, tensors = assembled(net, optimizer, (x, y), clip_norm=0.1, scaling=scaling)
    assert made.extra == ["grad_norm"]
    loss, norm = run(made, tensors)
    expected = F.mse_loss(twin(x), y)
    expected.backward()
    torch.testing.assert_close(
        [loss, norm], [expected.detach(), torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.1)]
    )
    reference.step()
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    torch.testing.assert_close(optimizer.state_dict()["state"], reference.state_dict()["state"])
    assert scaling is None or scaling.scale == 16.0


def test_every_input_has_its_role():
    net = torch.nn.Linear(3, 2, bias=False)
    scaling = Scaling(LossScale(), in_force=True)
    made, tensors = assembled(
        net, torch.optim.RMSprop(net.parameters(), lr=0.1), batch(), scaling=scaling, accumulate=2
    )
    assert len(made.program.inputs) == len(tensors)
    roles = [(value.role, value.name) for value in made.program.inputs]
    assert [role for role, _ in roles].count(Role.BATCH) == 2
    assert [pair for pair in roles if pair[0] is not Role.BATCH] == [
        (Role.PARAMETER, "weight"),
        *((Role.OPTIMIZER_STATE, f"weight.{name}") for name in ("step", "square_avg")),
        *((Role.HYPER_PARAMETER, name) for name in ("lr", "momentum", "alpha", "eps", "weight_decay")),
        *((Role.OPTIMIZER_STATE, f"loss scale: {name}") for name in scaling.names),
        (Role.ACCUMULATOR, "weight"),
    ]
    assert [value.role for value in made.program.outputs] == [Role.LOSS]


def test_a_micro_batch_only_adds_its_share():
    net = torch.nn.Linear(3, 2)
    before = copy.deepcopy(net.state_dict())
    x, y = batch()
    scaling = Scaling(LossScale(8.0), in_force=True)
    made, tensors = assembled(
        net, torch.optim.SGD(net.parameters(), lr=0.1), (x, y), final=False, accumulate=4, scaling=scaling
    )
    assert made.extra == []
    run(made, tensors)
    run(made, tensors)
    gradients = torch.autograd.grad(F.mse_loss(net(x), y), list(net.parameters()))
    torch.testing.assert_close(tensors[-2:], [g * 8.0 / 4 * 2 for g in gradients])
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert scaling.tensors == [8.0, 0, 0]


@pytest.mark.parametrize(
    ("rule", "good", "statistics_move"),
    [(None, False, False), (LossScale(8.0), True, True), (LossScale(0.5), False, True)],
)
def test_what_an_infinite_batch_leaves_alone(rule, good, statistics_move):
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    before = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaling = rule and Scaling(rule, in_force=True)
    x, y = batch()
    made, tensors = assembled(net, optimizer, (x, y * float("inf")), check_finite=True, scaling=scaling)
    net.load_state_dict(before)  # capturing ran the forward
    results = run(made, tensors)
    assert made.extra == ["finite"]
    assert bool(results[-1]) is good
    same = {name for name, value in net.state_dict().items() if torch.equal(value, before[name])}
    moved = {"0.running_mean", "0.running_var", "0.num_batches_tracked"} if statistics_move else set()
    assert same == set(before) - moved
    assert scaling is None or scaling.skipped == 1
