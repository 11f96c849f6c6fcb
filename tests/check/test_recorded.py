from __future__ import annotations

import inspect

import pytest
import torch

from tessera import torch_internals
from tessera.backend.ranges.analyse import findings_of
from tessera.backend.ranges.check_numerics import check_numerics
from tessera.check.history import History
from tessera.check.recorded import as_graph
from tessera.check.world import World
from tests.backend.ranges.later import BROKEN, RIGHT
from tests.backend.ranges.stable import STABLE
from tests.backend.ranges.stable_models import MODELS
from tests.backend.ranges.unstable import UNSTABLE


def recorded(function, *inputs, **ranges):
    """The graph of a run on tensors like ``inputs``; None where it is not told by its operations."""
    names = list(inspect.signature(function).parameters) if ranges else map(str, range(len(inputs)))
    world = World({}, in_numbers=True, records=True)
    with world.mode:
        args = {name: torch_internals.without_data(value) for name, value in zip(names, inputs, strict=True)}
        with History(world):
            result = function(*args.values())
    return as_graph(world.recording, args, result, ranges)


def said(findings):
    return [(finding.where, finding.kind, finding.known) for finding in findings]


def operations(function, *inputs):
    traced = recorded(function, *inputs)
    return None if traced is None else [str(node.target) for node in traced.graph.nodes]


# Torch writes in place within them, they ask for data, or make a tensor of numbers.
NOT_TOLD = {
    *("inverse_frequency", "inverse_frequency_with_one", "sine_from_cosine", "cosine_loss", "angle_clamped", "alibi"),
    *("cross_entropy", "mask_by_where", "exponential_gumbel", "dropout_then_norm", "poisson_nll"),
}


@pytest.mark.parametrize("case", [*UNSTABLE, *BROKEN, *STABLE, *MODELS, *RIGHT], ids=lambda case: case.name)
def test_what_is_found_in_a_recording_is_what_is_found_in_a_trace(case):
    function, inputs = case.runnable(), case.inputs()
    traced = recorded(function, *inputs, **case.ranges)
    assert (traced is None) == (case.name in NOT_TOLD)
    if traced is not None:
        found = findings_of(traced.graph, traced.given, traced.attribute)
        assert said(found) == said(check_numerics(function, *inputs, ranges=case.ranges))


X = torch.ones(3, 4)


def test_operations_arguments_and_weights_are_nodes():
    layer = torch.nn.Linear(4, 2)
    traced = recorded(lambda x: layer(x).relu().split(1, 1), X)
    nodes = list(traced.graph.nodes)
    assert [node.op for node in nodes if node.op != "call_function"] == ["placeholder"] * 3 + ["output"]
    assert sum(node.target is torch.ops.aten.relu.default for node in nodes) == 1
    assert [tuple(node.meta["val"].shape) for node in nodes[-1].args[0]] == [(3, 1), (3, 1)]
    weights = [known for node, known in traced.given.items() if known.parameter]
    assert len(weights) == 2


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.clone().add_(1),
        lambda x: x * 2 if x.sum() > 0 else x,
        lambda x: x * x.max().item(),
        lambda x: x[x > 0],
        lambda x: torch.nn.GRU(4, 4, batch_first=True)(x[None])[0],
    ],
    ids=["in place", "branch", "item", "data-dependent size", "shortened"],
)
def test_what_operations_do_not_tell_is_given_up(function):
    assert recorded(function, X) is None
