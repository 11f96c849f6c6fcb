import torch

from tessera.backend.passes.settle_scalars import settle_scalars
from tessera.program import copy_graph
from tessera.torch_internals import compile_with_inductor
from tests.backend.hand_made import aten, program, run

P, M, T = torch.rand(7), torch.rand(7), torch.tensor(3.0, dtype=torch.float64)


def corrected(p, m, t):
    return (p - 0.1 / (torch.pow(0.9, t).neg() + 1) * m,)


def marked(made):
    return [node.target for node in made.graph.nodes if node.meta.get("inductor_realize_to_strides")]


def test_the_scalar_that_meets_the_tensor_is_marked_once():
    made = program(corrected, P, M, T)
    before = run(made, P, M, T)
    assert settle_scalars(made) == 1
    (mark,) = marked(made)
    assert mark in (aten.mul.Tensor, aten.div.Tensor)  # 0.1 / x is traced as reciprocal(x) * 0.1; pow is not marked
    assert torch.equal(run(made, P, M, T)[0], before[0])
    assert settle_scalars(made) == 0


def test_scalars_among_themselves_and_inputs_are_left_alone():
    among = program(lambda t: (torch.pow(0.9, t) + 1,), T)
    given = program(lambda p, t: (p * t,), P, T)  # an input is in memory already
    one_element = program(lambda p, m: (p * torch.exp(m),), P, M[:1])  # [1], not 0-d
    constant = program(lambda p: (torch.where(p > 0, aten.scalar_tensor(0.5, dtype=torch.float64).float(), p),), P)
    for made in (among, given, one_element, constant):
        assert settle_scalars(made) == 0
        assert marked(made) == []


def test_inductor_gives_the_scalar_memory_of_its_own():
    made = program(corrected, P, M, T)
    inputs = [node.meta["val"] for node in made.placeholders]
    plain = compile_with_inductor(copy_graph(made.graph_module), inputs)
    settle_scalars(made)
    settled = compile_with_inductor(made.graph_module, inputs)
    memory = "empty_strided_cpu((), (), torch.float64)"
    assert memory in settled.source
    assert memory not in plain.source
    assert torch.equal(settled.call([P, M, T])[0], plain.call([P, M, T])[0])
