import pytest
import torch

from tessera.backend.rows.chunked import CHUNKED, IN_CHUNKS, compile_region
from tests.backend.rows.test_region import W, X, gradients, region_of

TARGET = torch.randint(50, (24,))


def compiled(function, inputs, chunk):
    made, region = region_of(function, *inputs)
    values = dict(zip(made.placeholders, inputs, strict=True))
    for node in made.graph.nodes:
        outside = node.op == "call_function" and node not in region.placed
        if outside and all(n in values for n in node.all_input_nodes):
            args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*args, **kwargs)
    name, results = compile_region(region, chunk)
    return name, results, [values[n] for n, _ in region.operands]


@pytest.mark.parametrize("chunk", [24, 8, 7])
def test_the_results_are_those_of_all_rows_at_once(chunk):
    name, results, operands = compiled(gradients, (X, W, TARGET), chunk)
    found = dict(zip(results, IN_CHUNKS(name, operands), strict=True))
    _, dx, dw = gradients(X, W, TARGET)
    for expected in (dx, dw):
        (same,) = [value for node, value in found.items() if node.meta["val"].shape == expected.shape]
        torch.testing.assert_close(same, expected)


def test_operands_may_lie_otherwise_in_memory():
    name, _, operands = compiled(gradients, (X, W, TARGET), 8)
    elsewhere = [t.t().contiguous().t() if t.dim() == 2 else t for t in operands]
    assert any(a.stride() != b.stride() for a, b in zip(operands, elsewhere, strict=True))
    for a, b in zip(IN_CHUNKS(name, operands), IN_CHUNKS(name, elsewhere), strict=True):
        torch.testing.assert_close(a, b)


def test_sums_of_half_precision_are_added_in_float32():
    """4096 ones added one by one to a bfloat16 stop at 256."""
    rows = torch.ones(4096, 1, dtype=torch.bfloat16)
    weight = torch.ones(1, 64, dtype=torch.bfloat16)
    name, _, operands = compiled(lambda x, w: ((x @ w).sum(0),), (rows, weight), 1)
    (total,) = IN_CHUNKS(name, operands)
    assert total.dtype == torch.bfloat16
    assert torch.equal(total, torch.full((64,), 4096.0, dtype=torch.bfloat16))


def test_fake_operands_have_results_of_the_right_shape():
    name, results, operands = compiled(gradients, (X, W, TARGET), 8)
    found = IN_CHUNKS(name, [t.to("meta") for t in operands])
    assert [(t.shape, t.dtype) for t in found] == [(n.meta["val"].shape, n.meta["val"].dtype) for n in results]


def test_the_same_region_is_compiled_once():
    first, _, _ = compiled(gradients, (X, W, TARGET), 8)
    again, _, _ = compiled(gradients, (X, W, TARGET), 8)
    other, _, _ = compiled(gradients, (X, W, TARGET), 12)
    assert first == again != other


def test_a_weights_gradient_is_added_by_the_library_that_multiplies():
    name, _, _ = compiled(gradients, (X, W, TARGET), 8)
    ((weight,),) = [step.products for step in CHUNKED[name].steps]
    sums = [shape for shape, _ in CHUNKED[name].sums]
    assert sums[weight] == W.shape
    assert "extern_kernels.addmm" not in CHUNKED[name].steps[0].output.source


def test_a_sum_that_is_no_product_stays_in_the_graph():
    name, _, operands = compiled(lambda x, w: ((x @ w).sum(0),), (X, W), 8)
    assert all(not step.products for step in CHUNKED[name].steps)
    torch.testing.assert_close(IN_CHUNKS(name, operands)[0], (X @ W).sum(0))
