from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.backend.eager_precision import EagerPrecision
from tessera.backend.passes.lower_precision import lower_precision
from tessera.program import resolve_precision
from tests.backend.hand_made import program, run

pytestmark = pytest.mark.usefixtures("low_precision_products")

torch.manual_seed(0)
A, B, BIAS = torch.randn(64, 48), torch.randn(48, 80), torch.randn(80)
IMAGES, KERNEL = torch.randn(4, 3, 12, 12), torch.randn(8, 3, 3, 3)
aten = torch.ops.aten
JOBS = {
    "mm": lambda: (aten.mm.default, (A, B), {}),
    "bmm": lambda: (aten.bmm.default, (A.expand(2, 64, 48), B.expand(2, 48, 80)), {}),
    "addmm": lambda: (aten.addmm.default, (BIAS, A, B), {}),
    "scaled": lambda: (aten.addmm.default, (BIAS, A, B), {"beta": 0.5, "alpha": 2.0}),
    "no_sum": lambda: (aten.addmm.default, (torch.full((80,), torch.nan), A, B), {"beta": 0}),
    "baddbmm": lambda: (aten.baddbmm.default, (BIAS, A.expand(2, 64, 48), B.expand(2, 48, 80)), {}),
    "convolution": lambda: (
        aten.convolution.default,
        (IMAGES, KERNEL, torch.randn(8), [2, 1], [1, 1], [1, 1], False, [0, 0], 1),
        {},
    ),
    "convolution_backward": lambda: (
        aten.convolution_backward.default,
        (torch.randn(4, 8, 10, 10), IMAGES, KERNEL, [8], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True] * 3),
        {},
    ),
    "small": lambda: (aten.mm.default, (A[:4, :4], B[:4, :4]), {}),
    "double": lambda: (aten.mm.default, (A.double(), B.double()), {}),
    "no_product": lambda: (aten.add.Tensor, (A, A), {}),
}


def tensors(value):
    return list(value) if isinstance(value, tuple | list) else [value]


@pytest.mark.parametrize("name", JOBS)
def test_a_product_is_that_of_the_lowered_graph(name):
    operator, args, kwargs = JOBS[name]()
    inputs = [arg for arg in args if isinstance(arg, torch.Tensor)]

    def job(*values):
        given = iter(values)
        return tuple(tensors(operator(*(next(given) if isinstance(a, torch.Tensor) else a for a in args), **kwargs)))

    made = program(job, *inputs)
    made.precision = resolve_precision("bf16")
    lowered = lower_precision(made)
    assert lowered == (name not in ("small", "double", "no_product"))
    expected = run(made, *inputs)
    found = tensors(EagerPrecision(made.precision)(operator, args, kwargs, ""))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_a_rule_for_a_layer_and_an_autocast_decide():
    precision = EagerPrecision(resolve_precision({"default": "bf16", "head": "fp32"}))
    exact = aten.mm.default(A, B)
    assert not torch.equal(precision(aten.mm.default, (A, B), {}, "body"), exact)
    assert torch.equal(precision(aten.mm.default, (A, B), {}, "head.linear"), exact)
    with torch.autocast("cpu", torch.bfloat16):
        assert precision(aten.mm.default, (A, B), {}, "body").dtype is torch.bfloat16  # as autocast alone has it


def test_attention_forward_and_backward():
    q, k, v = torch.randn(3, 2, 4, 64, 16).unbind()
    low = [t.bfloat16().float() for t in (q, k, v)]
    operator = aten._scaled_dot_product_flash_attention_for_cpu.default
    out, logs = EagerPrecision(resolve_precision("bf16"))(operator, (q, k, v), {}, "")
    assert out.dtype == logs.dtype == torch.float32
    torch.testing.assert_close(out, F.scaled_dot_product_attention(*low), rtol=2e-2, atol=2e-2)
    assert torch.equal(out, out.bfloat16().float())
