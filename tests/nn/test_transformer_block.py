from __future__ import annotations

import pytest
import torch

from tessera.errors import LayerError
from tessera.nn import RotaryEmbedding, TransformerBlock

B, T, D = 2, 6, 16


def rms(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight


def test_it_is_pre_norm():
    block = TransformerBlock(D, 4, 2, rotary=RotaryEmbedding(4)).double()
    x = torch.randn(B, T, D, dtype=torch.float64)
    with torch.no_grad():
        for norm in (block.input_layernorm, block.post_attention_layernorm):
            norm.weight.copy_(torch.rand(D))
    middle = x + block.self_attn(rms(x, block.input_layernorm.weight))
    expected = middle + block.mlp(rms(middle, block.post_attention_layernorm.weight))
    assert torch.allclose(block(x), expected)


def test_mask_and_positions_reach_the_attention():
    block, x = TransformerBlock(D, 4, rotary=RotaryEmbedding(4)), torch.randn(B, T, D)
    assert torch.allclose(block(x, None, torch.arange(3, 3 + T)), block(x), atol=1e-5)  # only distances count
    assert not torch.allclose(block(x, None, torch.arange(0, 2 * T, 2)), block(x), atol=1e-3)
    assert not torch.allclose(block(x, torch.eye(T, dtype=torch.bool)), block(x), atol=1e-3)


def test_the_future_is_hidden_unless_asked_for():
    x = torch.randn(B, T, D)
    later = x.clone()
    later[:, -1] += 1.0
    causal, open_ = TransformerBlock(D, 4), TransformerBlock(D, 4, causal=False)
    assert torch.equal(causal(x)[:, :-1], causal(later)[:, :-1])
    assert not torch.allclose(open_(x)[:, :-1], open_(later)[:, :-1], atol=1e-3)


def test_its_weights_have_llamas_names():
    assert list(TransformerBlock(D, 4).state_dict()) == [
        "input_layernorm.weight",
        "self_attn.q_proj.weight",
        "self_attn.k_proj.weight",
        "self_attn.v_proj.weight",
        "self_attn.o_proj.weight",
        "post_attention_layernorm.weight",
        "mlp.gate_proj.weight",
        "mlp.up_proj.weight",
        "mlp.down_proj.weight",
    ]


def test_dropout_is_for_training():
    block, x = TransformerBlock(D, 4, dropout=0.5), torch.randn(B, T, D)
    assert not torch.equal(block(x), block(x))
    assert torch.equal(block.eval()(x), block(x))


def test_it_trains():
    block = TransformerBlock(D, 4, 1).double()
    x = torch.randn(1, 3, D, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, x)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(LayerError, match="^GroupedQueryAttention was given embed_dim=16, num_heads=3"):
        TransformerBlock(D, 3)
