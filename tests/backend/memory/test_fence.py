import torch

from tessera import torch_internals
from tessera.backend.memory.fence import FENCE


def test_a_fence_is_the_same_memory():
    value = torch.rand(3, 4).t()
    fenced = FENCE(value, torch.zeros(1))
    assert fenced.data_ptr() == value.data_ptr()
    assert fenced.stride() == value.stride()


def test_what_is_behind_a_fence_is_computed_after_what_it_waits_for():
    def function(x, w):
        first = torch.tanh(torch.mm(x, w))
        late = torch.mm(first, w)
        return torch.mm(torch.tanh(FENCE(torch.mm(x, w), late)), w), late

    inputs = [torch.rand(8, 8), torch.rand(8, 8)]
    mode = torch_internals.new_fake_mode()
    fakes = [torch_internals.fake_copy(mode, value) for value in inputs]
    compiled = torch_internals.compile_with_inductor(torch_internals.trace(function, *fakes, fake_mode=mode), fakes)
    for found, expected in zip(compiled.call(list(inputs)), function(*inputs), strict=True):
        torch.testing.assert_close(found, expected)
    body = compiled.source[compiled.source.index("def call") :]
    assert body.count("cpp_fused_") == 2  # one kernel would compute both
    assert body.index("tessera.fence") < body.rindex("cpp_fused_")
