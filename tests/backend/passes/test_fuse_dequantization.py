import pytest
import torch

import tessera
from tessera.backend.passes.fuse_dequantization import MOST_ROWS, fuse_dequantization
from tessera.quantize import Rule
from tests.backend.hand_made import aten, program, run, targets

X, CODES, SCALE = torch.rand(1, 48), torch.randint(-127, 128, (8, 48), dtype=torch.int8), torch.rand(8, 1)
BIAS = torch.rand(8)
_RTOL = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}  # one rounding of the result


def _product(x, codes, scale):
    return (torch.mm(x, (codes.float() * scale).to(x.dtype).t()),)


def _with_bias(bias, x, codes, scale):
    return (aten.addmm(bias, x, (codes.float() * scale).t(), beta=0.5, alpha=-2),)


def _of_halves(x, codes, scale):
    first, second = ((half.float() * scale).to(x.dtype) for half in (codes[:, :24], codes[:, 24:]))
    return (torch.mm(x, torch.cat([first, second], 1).t()),)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rows", [1, MOST_ROWS])
@pytest.mark.parametrize("function", [_product, _of_halves])
def test_a_weight_of_integers_is_dequantized_where_it_is_multiplied(function, rows, dtype):
    inputs = torch.rand(rows, 48).to(dtype), CODES, SCALE
    made = program(function, *inputs)
    before = run(made, *inputs)
    assert fuse_dequantization(made) == 1
    assert aten.mm.default not in targets(made)
    (now,) = run(made, *inputs)
    assert now.dtype == dtype
    torch.testing.assert_close(now, before[0], rtol=_RTOL[dtype], atol=1e-3)
    assert fuse_dequantization(made) == 0


def _after_gelu(x, codes, scale):
    weight = codes.float() * scale.bfloat16().float()
    return (torch.mm(torch.nn.functional.gelu(x), weight.t()),)


def test_what_is_multiplied_and_scales_in_half_are_computed_before():
    made = program(_after_gelu, X, CODES, SCALE)
    fuse_dequantization(made)
    marked = [node for node in made.graph.nodes if node.meta.get("inductor_realize_to_strides")]
    assert [tuple(node.meta["val"].shape) for node in marked] == [(8, 1), (1, 48)]
    assert all(node.meta["val"].dtype == torch.float32 for node in marked)


def test_halves_of_a_weight_are_added_up_in_one_sum():
    made = program(_of_halves, X, CODES, SCALE)
    fuse_dequantization(made)
    assert targets(made).count(aten.sum.dim_IntList) == 1


def test_the_bias_and_its_factors_are_kept():
    inputs = BIAS, X, CODES, SCALE
    made = program(_with_bias, *inputs)
    before = run(made, *inputs)
    assert fuse_dequantization(made) == 1
    torch.testing.assert_close(run(made, *inputs)[0], before[0], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (_product, (torch.rand(MOST_ROWS + 1, 48), CODES, SCALE)),
        (_product, (X, torch.rand(8, 48), SCALE)),  # nothing smaller than the weight is read
        (lambda x, c, s: (torch.mm(x, c.float().cumsum(1).t()),), (X, CODES, SCALE)),  # not element by element
        (lambda x, c, s: (torch.mm(x, (w := c.float() * s).t()), w.sum()), (X, CODES, SCALE)),  # it is wanted anyway
        (lambda x, c, s: (torch.mm(x, c.float() * s),), (torch.rand(1, 8), CODES, SCALE)),  # the sum runs over rows
        (_product, (torch.rand(1, 0), torch.empty(8, 0, dtype=torch.int8), SCALE)),
    ],
    ids=["many rows", "floats", "sums", "used twice", "columns", "nothing"],
)
def test_other_products_stay_library_calls(function, inputs):
    made = program(function, *inputs)
    assert fuse_dequantization(made) == 0
    assert aten.mm.default in targets(made)


@pytest.mark.parametrize("width", [96, 127])
@pytest.mark.parametrize("rule", ["int8", "int4", "nf4", "mxfp4"])
def test_a_quantized_layer_of_one_row_is_one_kernel_without_a_product(rule, width):
    layer = torch.nn.Linear(width, 40).eval()
    made = tessera.quantize(layer, rules=[Rule("", weight=rule, group=None if rule == "int8" else 16)], measure=None)
    compiled = tessera.compile(made, mode="inference")
    x = torch.randn(1, width)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(x), made(x))
    product = "library call" in str(compiled.report)
    assert product == (width == 127 and rule != "int8")  # a group of an odd width lies across the halves of a row
