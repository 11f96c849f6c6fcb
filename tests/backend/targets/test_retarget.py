from __future__ import annotations

import pytest
import torch

from tessera.backend.targets.retarget import retarget
from tessera.errors import ExportError
from tessera.program import Role, Value
from tests.backend.hand_made import program

aten = torch.ops.aten
GPU = torch.device("cuda", 0)


def devices(made) -> set[torch.device]:
    values = [node.meta["val"] for node in made.graph.nodes if "val" in node.meta]
    return {value.device for value in values if isinstance(value, torch.Tensor)}


def test_everything_moves_and_the_old_program_stays():
    def function(a):
        made = torch.arange(3.0) + torch.full((3,), 2.0, device="cpu") + torch.zeros(3).to("cpu", torch.float64)
        return a * made, torch.rand(3)

    made = program(function, torch.randn(2, 3))
    before = str(made.graph)
    moved = retarget(made, GPU)
    assert devices(moved) == {GPU}
    assert devices(made) == {torch.device("cpu")}
    assert str(made.graph) == before
    moved.graph.lint()
    places = {node.kwargs["device"] for node in moved.graph.nodes if "device" in node.kwargs}
    assert places == {GPU}


def test_hyper_parameters_of_one_number_stay():
    made = program(lambda p, lr, table: (p - lr * 2 * table[0],), torch.randn(4), torch.tensor(0.1), torch.ones(3))
    made.inputs[1] = Value("lr", Role.HYPER_PARAMETER)
    made.inputs[2] = Value("table", Role.HYPER_PARAMETER)
    p, lr, table = (node.meta["val"] for node in retarget(made, GPU).placeholders)
    assert (p.device, lr.device, table.device) == (GPU, torch.device("cpu"), GPU)


def test_a_constant_tensor_becomes_an_input_and_a_constant_number_stays():
    made = program(lambda a: (a * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor(4.0),), torch.randn(3))
    # Traced code holds its constants as attributes of the module.
    assert {getattr(made.graph_module, n.target).dim() for n in made.graph.find_nodes(op="get_attr")} == {0, 1}
    moved = retarget(made, GPU)
    assert [value.role for value in moved.inputs] == [Role.BATCH, Role.BUFFER]
    (kept,) = moved.graph.find_nodes(op="get_attr")
    assert kept.meta["val"].dim() == 0


def test_shapes_strides_and_lines_are_kept():
    made = program(lambda a: (a.T.contiguous().T + 1,), torch.empty(4, 3).T)
    for node in made.graph.find_nodes(op="call_function", target=aten.add.Tensor):
        node.meta["stack_trace"] = 'File "model.py", line 3, in forward'
    moved = retarget(made, GPU)
    assert moved.placeholders[0].meta["val"].stride() == (1, 3)
    (add,) = moved.graph.find_nodes(op="call_function", target=aten.add.Tensor)
    assert add.meta["stack_trace"] == 'File "model.py", line 3, in forward'
    assert moved.results[0].meta["val"].stride() == made.results[0].meta["val"].stride()


def test_an_operation_that_no_gpu_has_is_named():
    made = program(lambda a: (aten.histogram.bin_ct(a, 4)[0],), torch.randn(8))
    with pytest.raises(ExportError, match="aten.histogram.bin_ct has no implementation for CUDA"):
        retarget(made, GPU)
