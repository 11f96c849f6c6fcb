from __future__ import annotations

import json
import math

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from tessera.backend.targets.graph_json import program_from_json, program_to_json
from tessera.errors import ExportError
from tessera.program import Phase, Precision, Program, Role, Value
from tests.backend.hand_made import program, run

aten = torch.ops.aten


def there_and_back(made: Program) -> Program:
    described, constants = program_to_json(made)
    return program_from_json(json.loads(json.dumps(described)), constants)


def arithmetic(a, b):
    x = torch.where(a > 0, a, -math.inf).clamp(max=1e30)
    return torch.cat([x, b], 1).softmax(-1) * torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0]), (
        b.double() @ b.double().T
    ).half()


def views(a, b):
    first, second = a.T.contiguous().split(1)
    return first.expand(4, 3), torch.arange(6, dtype=torch.int32).view(2, 3)[:, 1:], second.amax((0, 1), keepdim=True)


def complex_numbers(a, b):
    return (torch.view_as_real(torch.full((3,), 1 + 2j, dtype=torch.complex64) * torch.view_as_complex(a)),)


def images(a, b):
    image = a.reshape(1, 1, 3, 2).to(memory_format=torch.channels_last).float()
    return torch.nn.functional.interpolate(image, scale_factor=2.0), torch.topk(b, 2, dim=1)[0]


@pytest.mark.parametrize("function", [arithmetic, views, complex_numbers, images], ids=lambda f: f.__name__)
def test_the_graph_computes_the_same_afterwards(function):
    inputs = torch.randn(3, 2), torch.randn(3, 3)
    made = program(function, *inputs)
    for found, expected in zip(run(there_and_back(made), *inputs), run(made, *inputs), strict=True):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)


def test_names_roles_phases_and_lines_stay():
    made = program(lambda a: (a.sin(),), torch.ones(2))
    made.inputs[0], made.outputs[0] = Value("weight", Role.PARAMETER), Value("loss", Role.LOSS)
    (sine,) = made.graph.find_nodes(op="call_function", target=aten.sin.default)
    sine.meta |= {"phase": Phase.BACKWARD, "stack_trace": 'File "model.py", line 3, in forward'}
    found = there_and_back(made)
    (again,) = found.graph.find_nodes(op="call_function", target=aten.sin.default)
    assert (found.name, found.inputs, found.outputs) == (made.name, made.inputs, made.outputs)
    assert again.meta["phase"] is Phase.BACKWARD
    assert again.meta["stack_trace"] == sine.meta["stack_trace"]
    assert found.placeholders[0].meta["val"].shape == (2,)


def test_strides_of_inputs_stay():
    given = torch.empty(4, 3).T
    (fake,) = (node.meta["val"] for node in there_and_back(program(lambda a: (a + 1,), given)).placeholders)
    assert fake.stride() == (1, 3)


def test_sizes_that_are_symbols_become_numbers():
    module = make_fx(lambda a: (a.view(a.shape[0] * a.shape[1]) * a.shape[0],), tracing_mode="symbolic")(
        torch.ones(5, 7)
    )
    made = Program("symbolic", module, [Value("a", Role.BATCH)], [Value("result", Role.RESULT)])
    found = there_and_back(made)
    assert found.placeholders[0].meta["val"].shape == (5, 7)
    (result,) = run(found, torch.ones(5, 7))
    assert torch.equal(result, torch.full((35,), 5.0))


def test_control_flow_is_refused():
    def branch(a):
        return (torch.cond(a.sum() > 0, torch.sin, torch.cos, (a,)),)

    module = make_fx(branch, tracing_mode="fake")(torch.ones(2))
    made = Program("branch", module, [Value("a", Role.BATCH)], [Value("result", Role.RESULT)])
    with pytest.raises(ExportError, match="no operator on tensors"):
        program_to_json(made)


def test_the_precision_that_was_asked_for_goes_along():
    made = program(lambda x: (x + 1,), torch.randn(3))
    made.precision = Precision("bf16", (("head", "fp32"),))
    again = there_and_back(made)
    assert again.precision == made.precision
