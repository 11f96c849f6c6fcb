import torch
from torch._inductor import config

from tessera.backend.graph_compiler import compile_graph
from tessera.torch_internals import InductorOutput
from tests.backend.hand_made import program

A, B = torch.rand(32, 32), torch.rand(32, 32)


def layer(a, b):
    return (torch.relu(torch.mm(a, b)) + 1,)


def given():
    made = program(layer, A, B)
    return made.graph_module, [node.meta["val"] for node in made.placeholders]


def test_a_failing_pattern_of_inductor_is_tried_again_without_patterns():
    seen = []

    def inductor(graph_module, inputs):
        seen.append(config.pattern_matcher)
        if config.pattern_matcher:
            graph_module.graph.erase_node(graph_module.graph.output_node())  # the failure may leave a ruin
            raise RuntimeError("a pattern failed")
        return InductorOutput(lambda inputs: graph_module(*inputs), "", {})

    output, notes = compile_graph(*given(), inductor=inductor)
    assert seen == [True, False]
    assert notes == []
    assert config.pattern_matcher
    assert torch.equal(output.call([A, B])[0], layer(A, B)[0])


def test_the_wrapper_allocates_from_a_pool():
    names = {"empty_strided_cpu": torch.empty_strided}
    compile_graph(*given(), inductor=lambda graph, _: InductorOutput(graph, "", names))
    where = names["empty_strided_cpu"]((1 << 20,), (1,), torch.float32).data_ptr()
    assert names["empty_strided_cpu"]((1 << 20,), (1,), torch.float32).data_ptr() == where
