import pytest
import torch
from torch._inductor import config

from tessera.backend.inductor import compile_program
from tessera.backend.pipeline import PIPELINE
from tessera.torch_internals import InductorOutput
from tests.backend.hand_made import program

A, B = torch.rand(32, 32), torch.rand(32, 32)


def layer(a, b):
    return (torch.relu(torch.mm(a, b)) + 1,)


def test_a_program_is_compiled_counted_and_called():
    made = program(layer, A, B)
    executable = compile_program(made, capture_seconds=0.5)
    counts = executable.compilation
    assert (counts.operations, counts.kernels, counts.external_calls) == (3, 1, 1)
    assert counts.capture_seconds == 0.5
    assert counts.inductor_seconds > counts.pipeline_seconds > 0
    assert [record.name for record in counts.passes] == [rewrite.name for rewrite in PIPELINE]
    assert executable.native is None  # 32 * 32 * 32 multiplications stay a library call
    assert counts.notes == []
    inputs = [A.clone().requires_grad_(), B]
    (result,) = executable.call(inputs)
    torch.testing.assert_close(result, layer(A, B)[0])
    assert inputs == []
    assert not result.requires_grad
    assert torch.is_grad_enabled()


def eager(graph_module, _):
    return InductorOutput(lambda inputs: graph_module(*inputs), "", {})


def test_a_failing_pattern_of_inductor_is_tried_again_without_patterns():
    seen = []

    def inductor(graph_module, inputs):
        seen.append(config.pattern_matcher)
        if config.pattern_matcher:
            graph_module.graph.erase_node(graph_module.graph.output_node())  # the failure may leave a ruin
            raise RuntimeError("a pattern failed")
        return eager(graph_module, inputs)

    executable = compile_program(program(layer, A, B), inductor=inductor)
    assert seen == [True, False]
    assert config.pattern_matcher
    assert torch.equal(executable.call([A, B])[0], layer(A, B)[0])


def test_a_graph_that_inductor_cannot_compile_raises():
    def inductor(graph_module, inputs):
        raise NotImplementedError("no such device")

    with pytest.raises(NotImplementedError, match="no such device"):
        compile_program(program(layer, A, B), inductor=inductor)


def test_the_wrapper_allocates_from_a_pool():
    names = {"empty_strided_cpu": torch.empty_strided}
    compile_program(program(layer, A, B), inductor=lambda graph, _: InductorOutput(graph, "", names))
    where = names["empty_strided_cpu"]((1 << 20,), (1,), torch.float32).data_ptr()
    assert names["empty_strided_cpu"]((1 << 20,), (1,), torch.float32).data_ptr() == where
