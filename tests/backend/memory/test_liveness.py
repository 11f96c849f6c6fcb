import pytest
import torch

from tessera import torch_internals
from tessera.backend.memory.liveness import Liveness, is_view, owner, size_of
from tessera.backend.memory.rehearsal import rehearse
from tessera.program import copy_graph
from tests.backend.hand_made import program
from tests.backend.memory.steps import Residual, step_program

aten = torch.ops.aten


def named(made, target):
    return next(iter(made.graph.find_nodes(op="call_function", target=target)))


def test_what_is_fused_has_no_memory_and_a_product_has():
    made = program(lambda x: (torch.mm((x + 1) * 2, x).exp(),), torch.rand(8, 8))
    liveness = Liveness(made.graph)
    assert not liveness.realised(named(made, aten.add.Tensor))
    assert liveness.realised(named(made, aten.mul.Tensor))  # a library reads it
    assert liveness.realised(named(made, aten.mm.default))
    assert liveness.realised(named(made, aten.exp.default))  # a result


def test_a_view_lies_in_the_memory_of_its_source_and_keeps_it():
    made = program(lambda x: (torch.mm(x, x).t().flatten()[:4].clone() + torch.mm(x, x).sum(),), torch.rand(8, 8))
    liveness, product = Liveness(made.graph), named(made, aten.mm.default)
    view = named(made, aten.t.default)
    assert is_view(view)
    assert owner(view) is product
    assert not liveness.realised(view)
    assert view not in liveness.readers(product)
    assert size_of(view) == size_of(product) == 256


def test_a_write_into_an_input_takes_no_memory():
    made = step_program(Residual(1), (torch.rand(64, 32), torch.rand(64, 32)))
    liveness = Liveness(made.graph)
    for copy in made.graph.find_nodes(op="call_function", target=aten.copy_.default):
        assert not liveness.realised(copy)


CASES = {
    "residual": lambda: (Residual(3), (torch.rand(256, 32), torch.rand(256, 32))),
    "plain": lambda: (
        torch.nn.Sequential(torch.nn.Linear(32, 256), torch.nn.ReLU(), torch.nn.Linear(256, 32)),
        (torch.rand(256, 32), torch.rand(256, 32)),
    ),
    "convolutions": lambda: (
        torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.Conv2d(16, 3, 1)
        ),
        (torch.rand(4, 3, 24, 24), torch.rand(4, 3, 24, 24)),
    ),
}


# How far the simulation may be off; convolutions change the layout of what they read, which it does not see.
NEAR = {"residual": 0.05, "plain": 0.05, "convolutions": 0.3}


@pytest.mark.parametrize("case", CASES)
def test_the_simulation_is_near_what_the_code_allocates(case):
    module, batch = CASES[case]()
    made = step_program(module, batch)
    values = [node.meta["val"] for node in made.placeholders]
    code = rehearse(torch_internals.wrapper_source(copy_graph(made.graph_module), values), values)
    assert Liveness(made.graph).peak().size == pytest.approx(code.peak, rel=NEAR[case])
