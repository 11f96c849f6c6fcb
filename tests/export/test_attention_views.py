from __future__ import annotations

import pytest
import torch
from torch import nn

from tessera.export.asked import read_example
from tessera.export.attention_views import reshape_attention
from tessera.export.empty_rows import say_zeros
from tessera.export.exact_arithmetic import EXACT
from tessera.export.export import export
from tessera.export.plain_operators import in_plain_operators
from tessera.export.traced import operators, traced


class Biased(nn.Module):
    """T5's: a bias for each head, a root mean square, and what many add, a gate over what attention answers."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(2, 1, 1))

    def forward(self, x):
        batch, time, width = x.shape
        x = x * x.pow(2).mean(-1, keepdim=True).rsqrt()
        q = x.view(batch, time, 2, width // 2).transpose(1, 2)
        mask = self.bias.expand(2, time, time).expand(batch, 2, time, time)
        y = nn.functional.scaled_dot_product_attention(q, q, q, attn_mask=mask) * torch.sigmoid(q)
        return y.transpose(1, 2).reshape(batch, time, -1)


X = torch.randn(2, 5, 8)
DIMS = ({0: "B", 1: "S"},)


def prepared():
    """As a converter gets it, once other operators are written out: the reshape is a view of the traced layout."""
    torch.manual_seed(0)
    module = Biased().eval()
    program = in_plain_operators(traced(*read_example(module, X, DIMS)), EXACT)
    assert "aten.view" in operators(program)
    return module, program


def test_attention_may_lie_in_another_way():
    module, program = prepared()
    reshape_attention(program)
    say_zeros(program)
    with torch.no_grad():
        torch.testing.assert_close(program.run_decompositions().module()(X)[0], module(X))


def test_without_it_no_view_takes_what_is_decomposed():
    _, program = prepared()
    say_zeros(program)
    with pytest.raises(Exception, match="Cannot view"):
        program.run_decompositions()


def test_other_views_are_left():
    _, program = prepared()
    before = operators(program)["aten.view"]
    reshape_attention(program)
    assert operators(program)["aten.view"] == before - 1


def test_views_of_what_is_written_into_stay_views():
    class Written(nn.Module):
        def forward(self, q):
            y = nn.functional.scaled_dot_product_attention(q, q, q)
            flat = y.view(-1)
            y.mul_(2)
            return flat

    program = torch.export.export(Written(), (torch.randn(1, 2, 3, 4),))
    before = operators(program)
    reshape_attention(program)
    assert operators(program) == before


@pytest.mark.slow
def test_a_file(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert export(Biased(), tmp_path / "m.onnx", X, DIMS, measure=False).accepted
