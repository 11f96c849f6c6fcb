from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from tessera.backend import precision_choice
from tessera.backend.passes import write_out_attention as module
from tessera.backend.passes.write_out_attention import write_out_attention
from tessera.backend.precision_choice import ATTENTION, ATTENTION_BACKWARD
from tests.backend.hand_made import program, run, targets

DRAW = torch.Generator().manual_seed(0)
Q, K, V, G = (torch.randn(2, 3, length, 16, generator=DRAW) for length in (20, 24, 24, 20))
MASK = torch.rand(2, 1, 20, 24, generator=DRAW) > 0.3
MASK[0, 0, 5] = False  # a row that sees nothing
FORMS = {
    "plain": {},
    "causal": {"is_causal": True},
    "scaled": {"scale": 0.7},
    "masked": {"attn_mask": MASK},
    "biased": {"attn_mask": torch.randn(20, 24, generator=DRAW)},
}


def forward_and_backward(options):
    def function(q, k, v, g, *mask):
        other = {"attn_mask": mask[0] if mask else None, "scale": options.get("scale")}
        out, lse = ATTENTION(q, k, v, 0.0, causal, **other)
        return (out, lse, *ATTENTION_BACKWARD(g, q, k, v, out, lse, 0.0, causal, **other))

    causal = options.get("is_causal", False)
    return function


def exact(options):
    """In float64, by autograd."""
    leaves = [value.double().requires_grad_() for value in (Q, K, V)]
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype is not torch.bool:
        options = options | {"attn_mask": mask.double()}
    out = scaled_dot_product_attention(*leaves, **options)
    return [out, *torch.autograd.grad(out, leaves, G.double())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", FORMS)
def test_forward_and_backward_keep_their_values(form, dtype):
    options = FORMS[form]
    inputs = [value.to(dtype) for value in (Q, K, V, G)]
    if "attn_mask" in options:
        inputs.append(options["attn_mask"])
    made = program(forward_and_backward(options), *inputs)
    assert write_out_attention(made) == 2
    assert not {ATTENTION, ATTENTION_BACKWARD} & set(targets(made))
    out, lse, *gradients = run(made, *inputs)
    assert lse.dtype is torch.float32
    references = [torch.nan_to_num(value) for value in exact(options)]
    for ours, reference in zip([out, *gradients], references, strict=True):
        assert ours.dtype is dtype
        error = (ours - reference).norm() / reference.norm()
        assert error < {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}[dtype]
    assert write_out_attention(made) == 0


def test_results_lie_in_memory_as_before():
    def function(q, k, v, g):
        results = forward_and_backward({})(*(value.transpose(1, 2) for value in (q, k, v, g)))
        return tuple(value.transpose(1, 2).flatten(2) for value in results)

    inputs = [value.transpose(1, 2).contiguous().bfloat16() for value in (Q, K, V, G)]
    made = program(function, *inputs)
    views = [node.meta["val"].stride() for node in made.results]
    assert write_out_attention(made) == 2
    assert [value.stride() for value in run(made, *inputs)] == views  # a view of another layout raises


def test_double_precision_and_large_scores_keep_the_fused_kernel(monkeypatch):
    made = program(forward_and_backward({}), *(value.double() for value in (Q, K, V, G)))
    assert write_out_attention(made) == 0
    assert {ATTENTION, ATTENTION_BACKWARD} <= set(targets(made))
    monkeypatch.setattr(precision_choice, "LARGEST_SCORES", 2 * 3 * 20 * 24 - 1)
    assert write_out_attention(program(forward_and_backward({}), Q, K, V, G)) == 0


def test_small_scores_are_kept_for_the_backward_and_large_ones_computed_again(monkeypatch):
    products = {}
    for limit in (4 * 2 * 3 * 20 * 24, 4 * 2 * 3 * 20 * 24 - 1):
        monkeypatch.setattr(module, "KEPT_SCORES", limit)
        made = program(forward_and_backward({}), Q, K, V, G)
        assert write_out_attention(made) == 2
        made.graph.eliminate_dead_code()
        products[limit] = targets(made).count(torch.ops.aten.bmm.default)
    assert list(products.values()) == [6, 7]


def test_fewer_heads_of_keys_keep_the_fused_kernel():
    inputs = [value.bfloat16() for value in (Q, K[:, :1], V[:, :1])]
    made = program(lambda q, k, v: (ATTENTION(q, k, v)[0],), *inputs)
    assert write_out_attention(made) == 0
