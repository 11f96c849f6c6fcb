import pytest
import torch

from tessera.backend.passes.inline_tiny_products import LARGEST, inline_tiny_products
from tests.backend.hand_made import aten, program, run, targets

A, B, C = torch.rand(3, 4), torch.rand(4, 5), torch.rand(5)
EDGE = torch.rand(16, 16), torch.rand(16, LARGEST // 256)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda a, b: (torch.mm(a, b),), (A, B)),
        (lambda a, b: (torch.mm(a, b),), EDGE),
        (lambda c, a, b: (torch.addmm(c, a, b),), (C, A, B)),
        (lambda c, a, b: (aten.addmm(c, a, b, beta=0.5, alpha=-2),), (C, A, B)),
    ],
)
def test_a_tiny_product_becomes_a_sum_of_products(function, inputs, dtype):
    inputs = [value.to(dtype) for value in inputs]
    made = program(function, *inputs)
    before = run(made, *inputs)
    assert inline_tiny_products(made) == 1
    assert not {aten.mm.default, aten.addmm.default} & set(targets(made))
    (now,) = run(made, *inputs)
    torch.testing.assert_close(now, before[0])
    assert now.dtype == dtype
    assert all("val" in node.meta for node in made.graph.nodes if node.op == "call_function")
    assert inline_tiny_products(made) == 0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.rand(16, 17), torch.rand(17, LARGEST // 256)),  # just too large
        (torch.rand(3, 0), torch.rand(0, 5)),  # a sum over nothing
        (A.bfloat16(), B.bfloat16()),  # the library sums in float32
        (A.long(), B.long()),
    ],
)
def test_other_products_stay_library_calls(a, b):
    made = program(lambda a, b: (torch.mm(a, b),), a, b)
    assert inline_tiny_products(made) == 0
    assert targets(made) == [aten.mm.default]
