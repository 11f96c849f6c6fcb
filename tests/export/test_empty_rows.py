from __future__ import annotations

import pytest
import torch

from tessera.export.empty_rows import ZerosSaid, say_zeros


class Attention(torch.nn.Module):
    def forward(self, q, mask):
        return torch.nn.functional.scaled_dot_product_attention(q, q, q, attn_mask=mask) * 2


def nodes(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("dtype", ["bool", "float"])
def test_it_says_what_torch_answers(dtype):
    q, mask = torch.randn(2, 2, 3, 4), torch.rand(2, 1, 3, 3) > 0.5
    mask[0, 0, 1] = False
    if dtype == "float":
        mask = torch.zeros(2, 1, 3, 3).masked_fill(~mask, -torch.inf)
    names = {2: torch.export.Dim("T")}
    program = torch.export.export(Attention(), (q, mask), dynamic_shapes=(names, {**names, 3: names[2]}))
    say_zeros(program)
    assert nodes(program).count("aten.where.self") == 1
    program.graph.lint()
    for size in (3, 2):
        call = (q[:, :, :size], mask[..., :size, :size])
        torch.testing.assert_close(program.module()(*call), Attention()(*call))


def test_attention_without_a_mask_is_left_alone():
    class Causal(torch.nn.Module):
        def forward(self, q):
            return torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)

    program = torch.export.export(Causal(), (torch.randn(1, 2, 3, 4),))
    before = nodes(program)
    say_zeros(program)
    assert nodes(program) == before


def test_around_a_call_rows_are_zeros_whatever_attention_answers():
    x, mask = torch.randn(1, 1, 4, 8), torch.ones(4, 4, dtype=torch.bool)
    mask[1] = False
    attention = torch.nn.functional.scaled_dot_product_attention
    with ZerosSaid():
        for given in (mask, torch.zeros(4, 4).masked_fill(~mask, -torch.inf)):
            found = attention(x, x, x, given)
            assert not found[:, :, 1].any()
            torch.testing.assert_close(found, attention(x, x, x, attn_mask=mask))
