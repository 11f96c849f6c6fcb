from __future__ import annotations

import pytest
import torch

from tessera.errors import LayerError
from tessera.nn import RotaryEmbedding


def by_complex_numbers(x, positions, base, *, interleaved):
    """The paper's definition: pair i as one complex number, times e^(i * position * base^(-2i/d))."""
    d = x.shape[-1]
    frequencies = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    turn = torch.polar(torch.ones(()).double(), positions.double()[..., None] * frequencies)
    turn = turn[:, None] if positions.ndim == 2 else turn
    x = x.double()
    pairs = x.unflatten(-1, (d // 2, 2)) if interleaved else torch.stack(x.chunk(2, -1), -1)
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turn)
    return turned.flatten(-2) if interleaved else torch.cat(turned.unbind(-1), -1)


def as_in_hugging_face(x, positions, base):
    """Llama's published formulation: cos and sin of the doubled angles, rotate_half."""
    inverse = 1.0 / (base ** (torch.arange(0, x.shape[-1], 2, dtype=torch.int64).float() / x.shape[-1]))
    angles = (inverse[None, :, None].expand(len(positions), -1, 1) @ positions[:, None, :].float()).transpose(1, 2)
    angles = torch.cat((angles, angles), dim=-1)
    cos, sin = angles.cos().to(x.dtype).unsqueeze(1), angles.sin().to(x.dtype).unsqueeze(1)
    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return x * cos + torch.cat((-second, first), dim=-1) * sin


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("positions", [torch.arange(7), torch.tensor([[0, 1, 2, 5, 6, 7, 8], [3, 4, 5, 6, 7, 8, 9]])])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_it_turns_complex_numbers(interleaved, positions, dtype, tolerance):
    x = torch.randn(2, 3, 7, 10, dtype=dtype)
    turned = RotaryEmbedding(10, base=100.0, interleaved=interleaved)(x, positions)
    assert turned.dtype == dtype
    expected = by_complex_numbers(x, positions, 100.0, interleaved=interleaved)
    assert torch.allclose(turned.double(), expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_is_hugging_faces_bit_by_bit(dtype):
    x, positions = torch.randn(2, 4, 300, 64).to(dtype), torch.stack([torch.arange(300), torch.arange(700, 1000)])
    assert torch.equal(RotaryEmbedding(64, base=500_000.0)(x, positions), as_in_hugging_face(x, positions, 500_000.0))


@pytest.mark.parametrize("interleaved", [False, True])
def test_scores_depend_on_the_distance_only(interleaved):
    rotary = RotaryEmbedding(8, interleaved=interleaved)
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    scores = [(rotary(q, torch.tensor([p + 3])) * rotary(k, torch.tensor([p]))).sum() for p in (0, 11, 500)]
    assert torch.allclose(scores[0], scores[1])
    assert torch.allclose(scores[0], scores[2])


def test_positions_start_at_zero_when_left_out():
    rotary, x = RotaryEmbedding(6), torch.randn(1, 2, 5, 6)
    assert torch.equal(rotary(x), rotary(x, torch.arange(5)))
    assert torch.equal(rotary(x)[:, :, 0], x[:, :, 0])


def test_it_has_no_state_and_keeps_exact_frequencies_in_bf16():
    rotary = RotaryEmbedding(64)
    exact = rotary.angles(torch.arange(1000))
    assert rotary.state_dict() == {}
    assert torch.equal(rotary.to(torch.bfloat16).angles(torch.arange(1000)), exact)


def test_gradients():
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(RotaryEmbedding(4), x)
    assert torch.autograd.gradcheck(RotaryEmbedding(4, interleaved=True), x)


@pytest.mark.parametrize(("head_dim", "base"), [(7, 10_000.0), (0, 10_000.0), (-2, 10_000.0), (8, 0.0)])
def test_impossible_sizes_are_refused(head_dim, base):
    with pytest.raises(LayerError) as caught:
        RotaryEmbedding(head_dim, base)
    assert str(caught.value) == (
        f"RotaryEmbedding was given head_dim={head_dim} and base={base}. "
        "It turns pairs of channels, so head_dim is a positive even number, and base is positive. "
        "Write RotaryEmbedding(embed_dim // num_heads) with sizes that make it even."
    )


def test_it_says_what_it_is():
    assert repr(RotaryEmbedding(8)) == "RotaryEmbedding(8, base=10000.0, interleaved=False)"
