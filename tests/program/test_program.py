from __future__ import annotations

import torch

from tessera import torch_internals
from tessera.program import Program, Role, Value


def program():
    def step(parameter, gradient):
        new = parameter - 0.5 * gradient
        parameter.copy_(new)
        return ((gradient * gradient).sum(),)

    graph_module = torch_internals.trace(step, torch.ones(3), torch.ones(3))
    return Program(
        "step",
        graph_module,
        [Value("weight", Role.PARAMETER), Value("gradient", Role.BATCH)],
        [Value("norm", Role.METRIC)],
    )


def test_a_program_knows_its_inputs_updates_and_results():
    found = program()
    parameter, gradient = found.placeholders
    assert len(found.placeholders) == len(found.inputs)
    ((destination, source),) = found.updates()
    assert destination is parameter
    assert set(source.all_input_nodes) >= {parameter}
    (result,) = found.results
    assert result.target is torch.ops.aten.sum.default
    assert result.all_input_nodes[0].all_input_nodes == [gradient]


def test_operations_are_the_calls_of_the_graph():
    found = program()
    assert found.operations() == 5  # mul, sub, copy_, mul, sum
    parameter, gradient = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 0.0, 1.0])
    (norm,) = found.graph_module(parameter, gradient)
    assert norm == 5
    assert torch.equal(parameter, torch.tensor([0.0, 2.0, 2.5]))


def test_text_is_the_code_of_the_graph():
    assert "torch.ops.aten.copy_.default(" in str(program())
