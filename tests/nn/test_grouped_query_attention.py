from __future__ import annotations

import math

import pytest
import torch

from tessera.errors import LayerError
from tessera.nn import GroupedQueryAttention, RotaryEmbedding

B, T, D = 2, 5, 12


def naive(layer, x, mask=None, positions=None):
    """Head by head, every score written out."""
    h, g, d = layer.num_heads, layer.num_kv_heads, layer.head_dim
    q = layer.q_proj(x).view(B, T, h, d).transpose(1, 2)
    k = layer.k_proj(x).view(B, T, g, d).transpose(1, 2)
    v = layer.v_proj(x).view(B, T, g, d).transpose(1, 2)
    if layer.rotary is not None:
        q, k = layer.rotary(q, positions), layer.rotary(k, positions)
    heads = []
    for head in range(h):
        group = head * g // h
        scores = torch.einsum("btd,bsd->bts", q[:, head], k[:, group]) / math.sqrt(d)
        if layer.causal:
            scores = scores.masked_fill(torch.arange(T)[:, None] < torch.arange(T), float("-inf"))
        if mask is not None:
            of_head = mask.expand(B, h, T, T)[:, head]
            bias = (
                torch.zeros_like(scores).masked_fill(~of_head, float("-inf")) if mask.dtype == torch.bool else of_head
            )
            scores = scores + bias
        heads.append(torch.einsum("bts,bsd->btd", scores.softmax(-1), v[:, group]))
    return layer.o_proj(torch.cat(heads, dim=-1))


ITSELF = torch.eye(T, dtype=torch.bool)  # a row that sees nothing has no defined attention
MASKS = {
    "none": None,
    "bool": (torch.rand(B, 1, T, T) > 0.4) | ITSELF,
    "bool of [seq, seq]": (torch.rand(T, T) > 0.4) | ITSELF,
    "added": torch.randn(B, 4, T, T, dtype=torch.float64),
}


@pytest.mark.parametrize("kv_heads", [None, 4, 2, 1])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_it_is_the_naive_attention(kv_heads, causal, mask):
    layer = GroupedQueryAttention(D, 4, kv_heads, causal=causal, bias=True).double()
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    out, expected = layer(x, mask), naive(layer, x, mask)
    assert torch.allclose(out, expected)
    ours = torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])
    theirs = torch.autograd.grad(expected.square().sum(), [x, *layer.parameters()])
    assert all(torch.allclose(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_turns_queries_and_keys(interleaved):
    layer = GroupedQueryAttention(D, 2, 1, head_dim=8, rotary=RotaryEmbedding(8, interleaved=interleaved)).double()
    x, positions = torch.randn(B, T, D, dtype=torch.float64), torch.arange(B * T).view(B, T)
    assert torch.allclose(layer(x, None, positions), naive(layer, x, None, positions))
    assert not torch.allclose(layer(x, None, positions[:, [0, 2, 1, 3, 4]]), layer(x, None, positions))


@pytest.mark.parametrize("causal", [False, True])
def test_with_all_heads_it_is_multihead_attention(causal):
    layer = GroupedQueryAttention(D, 4, bias=True, causal=causal)
    torchs = torch.nn.MultiheadAttention(D, 4, batch_first=True)
    with torch.no_grad():
        torchs.in_proj_weight.copy_(torch.cat([p.weight for p in (layer.q_proj, layer.k_proj, layer.v_proj)]))
        torchs.in_proj_bias.copy_(torch.cat([p.bias for p in (layer.q_proj, layer.k_proj, layer.v_proj)]))
        torchs.out_proj.load_state_dict(layer.o_proj.state_dict())
    x = torch.randn(B, T, D)
    hidden = torch.ones(T, T, dtype=torch.bool).triu(1) if causal else None
    assert torch.allclose(layer(x), torchs(x, x, x, attn_mask=hidden)[0], atol=1e-6)


def test_dropout_is_for_training():
    layer, x = GroupedQueryAttention(D, 4, dropout=0.5), torch.randn(B, T, D)
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))


def test_its_weights_have_llamas_names_and_shapes():
    layer = GroupedQueryAttention(D, 4, 2, head_dim=5)
    assert {name: list(weight.shape) for name, weight in layer.state_dict().items()} == {
        "q_proj.weight": [20, D],
        "k_proj.weight": [10, D],
        "v_proj.weight": [10, D],
        "o_proj.weight": [D, 20],
    }


@pytest.mark.parametrize(
    "sizes", [(12, 5), (12, 4, 3), (12, 4, 8), (12, 0), (12, 4, 0), (0, 4), (-12, 4), (12, 4, -2)], ids=str
)
def test_sizes_that_do_not_fit_are_refused(sizes):
    embed_dim, num_heads, num_kv_heads = (*sizes, None)[:3]
    with pytest.raises(LayerError) as caught:
        GroupedQueryAttention(*sizes)
    assert str(caught.value) == (
        f"GroupedQueryAttention was given embed_dim={embed_dim}, num_heads={num_heads}, num_kv_heads={num_kv_heads} "
        "and head_dim=None. All are positive, num_kv_heads divides num_heads, and num_heads divides embed_dim or "
        "head_dim is given. Write GroupedQueryAttention(512, num_heads=8, num_kv_heads=2)."
    )


@pytest.mark.parametrize("wrong", [{"dropout": 1.0}, {"dropout": -0.1}, {"rotary": RotaryEmbedding(4)}], ids=str)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(LayerError) as caught:
        GroupedQueryAttention(12, 2, **wrong)
    assert str(caught.value) == (
        f"GroupedQueryAttention of head_dim=6 was given dropout={wrong.get('dropout', 0.0)} and "
        f"rotary={wrong.get('rotary')}. "
        "dropout is a probability from 0 to below 1, and rotary turns heads of the same head_dim. "
        "Write dropout=0.1 and rotary=RotaryEmbedding(6)."
    )
