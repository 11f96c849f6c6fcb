import torch

from tessera import torch_internals
from tessera.backend.memory.rehearsal import rehearse
from tests.backend.hand_made import program

BLOCK = 64 * 64 * 4  # bytes


def rehearsal_of(function, *inputs):
    made = program(function, *inputs)
    values = [node.meta["val"] for node in made.placeholders]
    return rehearse(torch_internals.wrapper_source(made.graph_module, values), values)


def test_products_one_after_the_other_need_two_buffers():
    def chain(x):
        for _ in range(5):
            x = torch.mm(x, x)
        return (x,)

    assert rehearsal_of(chain, torch.rand(64, 64)).peak == 2 * BLOCK


def test_products_that_are_all_kept_need_all_buffers():
    def fan(x):
        made = [torch.mm(x, x + n) for n in range(4)]
        return tuple(made)

    found = rehearsal_of(fan, torch.rand(64, 64))
    assert 4 * BLOCK <= found.peak <= 5 * BLOCK
    assert sum(one.size for one in found.allocations) >= 4 * BLOCK


def test_what_a_library_returns_counts():
    found = rehearsal_of(lambda x: (torch.sort(x)[1],), torch.rand(64, 64))
    assert found.peak >= 64 * 64 * 8


def test_it_is_the_memory_that_a_run_takes():
    def function(x, y):
        a = torch.mm(x, y)
        b = torch.relu(torch.mm(a, y))
        return torch.mm(a, b).sum(), torch.mm(b, y)

    inputs = torch.rand(64, 64), torch.rand(64, 64)
    made = program(function, *inputs)
    values = [node.meta["val"] for node in made.placeholders]
    compiled = torch_internals.compile_with_inductor(made.graph_module, values)
    asked = []
    real = compiled.names["empty_strided_cpu"]
    compiled.names["empty_strided_cpu"] = lambda *size: asked.append(real(*size).nbytes) or real(*size)
    compiled.call(list(inputs))
    compiled.names["empty_strided_cpu"] = real
    assert [one.size for one in rehearse(compiled.source, values).allocations] == asked


def test_a_wrapper_that_needs_data_is_not_rehearsed():
    values = [node.meta["val"] for node in program(lambda x: (x + 1,), torch.rand(2)).placeholders]
    assert rehearse("def call(args):\n    return open(args[0])\n", values) is None
    assert rehearse("", values) is None
