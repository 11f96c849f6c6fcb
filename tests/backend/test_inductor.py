import pytest
import torch

import tessera
from tessera.backend.inductor import compile_program
from tessera.backend.pipeline import PIPELINE
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
    (note,) = counts.notes
    assert note.startswith("cache: ")
    inputs = [A.clone().requires_grad_(), B]
    (result,) = executable.call(inputs)
    torch.testing.assert_close(result, layer(A, B)[0])
    assert inputs == []
    assert not result.requires_grad
    assert torch.is_grad_enabled()


def test_a_graph_that_inductor_cannot_compile_raises():
    def inductor(graph_module, inputs):
        raise NotImplementedError("no such device")

    with pytest.raises(NotImplementedError, match="no such device"):
        compile_program(program(layer, A, B), inductor=inductor)


@pytest.mark.parametrize("kept", [15, 17, 33, 63, 64])
def test_a_loop_over_groups_of_which_the_last_is_cut_off_runs_to_its_end(kept):
    def scaled(x, scale):
        groups = (x.unflatten(1, (4, 16)) * scale.unsqueeze(-1)).flatten(1)
        return torch.cat([x, groups[:, :kept]], 1)

    inputs = torch.rand(8, 64), torch.rand(8, 4)
    assert torch.equal(tessera.compile(scaled)(*inputs), scaled(*inputs))
