import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tessera
from tests.backend.stability.harness import Rewritten, measured
from tests.backend.stability.unstable import Unstable

SMALL = [[3e-5, -2e-4, 1e-3], [-1e-6, 4e-3, -7e-4]]
EQUAL = [[0.5, 0.25, 3.0], [1.5, 2.0, 0.75]]
NEARLY = [[0.50001, 0.2501, 2.9999], [1.5002, 2.00003, 0.7499]]


def _chosen(x):
    better = torch.where(x > 0, x.atan() - x, x.tanh() - x)
    return better.sum(0) * 2


ROWS = [
    Unstable("saturation", lambda x: (x.tanh() - x).mean(), (SMALL,)),
    Unstable("double angle", lambda x: 2 * x.sin() - torch.sin(2 * x), (SMALL,)),
    Unstable("difference", lambda x, y: x.tanh() - y.tanh(), (NEARLY, EQUAL)),
    Unstable("Itakura-Saito", lambda x, y: (x / y - torch.log(x / y) - 1).sum(), (NEARLY, EQUAL)),
    Unstable("both", lambda x: torch.stack([x.tanh() - x, 2 * x.sin() - torch.sin(2 * x)]).sum(0), (SMALL,)),
]
NOTE = "computed in float64"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_no_rule_knows_is_accurate(row):
    value, gradient, notes = measured(row, torch.float32)
    assert any(NOTE in note for note in notes)
    assert max(value, gradient) < 4


@pytest.mark.parametrize("given", [0, 1, 2])
def test_both_sides_are_chosen_as_they_were(given):
    x = torch.tensor([[1e-4, -1e-4, 0.5], [0.0, 3e-3, -0.25]])[:, given]
    rewritten = Rewritten(_chosen)
    assert torch.allclose(rewritten.call(x), _chosen(x.double()).float(), rtol=1e-6, atol=0)
    assert any(NOTE in note for note in rewritten.notes)


def test_it_says_where():
    rewritten = Rewritten(lambda x: x.atan() - x)
    rewritten.call(torch.randn(3))
    assert [note.split(" at ")[0] for note in rewritten.notes] == ["stabilised computed in float64"]
    assert "test_wider.py:" in rewritten.notes[0]


def test_what_is_used_beside_it_stays():
    def function(x):
        e = x.atan()
        return e @ e.T, (e - x).sum(), e > 1

    x = torch.randn(3, 3) * 1e-3
    product, total, large = Rewritten(function).call(x)
    assert torch.equal(product, x.atan() @ x.atan().T)
    assert torch.equal(large, x.atan() > 1)
    assert product.dtype == total.dtype == torch.float32
    wanted = (x.double().atan() - x.double()).sum()
    assert abs(total.double() - wanted) < 2e-7 * wanted.abs()


def test_results_that_share_their_parts():
    def function(x):
        d = x - x.atan()
        return d * 2, d.exp(), torch.where(d > 0, d, x.tanh() - x).sum()

    x = torch.randn(4) * 1e-2
    for got, wanted in zip(Rewritten(function).call(x), function(x.double()), strict=True):
        assert torch.allclose(got.double(), wanted, rtol=3e-7, atol=0)


def test_what_is_given_is_used_in_two_modes():
    def function(x):
        with torch.no_grad():
            scale = (x.atan() - x).sum()
        return (x.tanh() - x) / scale

    x = torch.full((3,), 1e-2, requires_grad=True)
    exact = x.detach().double().requires_grad_()
    Rewritten(function).call(x).sum().backward()
    function(exact).sum().backward()
    assert torch.allclose(x.grad.double(), exact.grad, rtol=1e-6, atol=0)


def test_lower_precision_and_sizes_that_vary():
    def function(x):
        y = x.float()
        return (y.atan() - y).mean(-1)

    rewritten = Rewritten(function, dynamic=True)
    for rows in (3, 5):
        x = (torch.randn(rows, 7) * 1e-2).bfloat16()
        wanted = (x.double().atan() - x.double()).mean(-1)
        assert torch.allclose(rewritten.call(x).double(), wanted, rtol=3e-7, atol=0)


def test_under_autocast():
    def function(x, w):
        with torch.autocast("cpu", torch.bfloat16):
            y = (x @ w).float() * 1e-2
            return (y.atan() - y).sum(-1)

    x, w = torch.rand(4, 8), torch.rand(8, 8)
    y = ((x.bfloat16() @ w.bfloat16()).float() * 1e-2).double()
    assert torch.allclose(Rewritten(function).call(x, w).double(), (y.atan() - y).sum(-1), rtol=1e-5)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1e-2, 2e-2, 3e-2]))

    def forward(self, x):
        y = x * self.scale
        return (y.atan() - y).sum()


def test_a_compiled_model_and_what_its_report_says():
    model, x = Scaled(), torch.rand(64, 3)
    compiled = tessera.compile(model)
    compiled(x).backward()
    exact = Scaled().double()
    wanted = exact(x.double())
    wanted.backward()
    assert abs(compiled(x).item() - wanted.item()) < 1e-6 * abs(wanted.item())
    assert torch.allclose(model.scale.grad.double(), exact.scale.grad, rtol=1e-6, atol=0)
    assert NOTE in str(compiled.report)


def test_it_can_be_turned_off():
    x = torch.full((8,), 1e-5)
    plain = tessera.compile(lambda x: x.atan() - x, stabilise=False)
    assert torch.equal(plain(x), x.atan() - x)


def test_the_same_formula_is_held_to_what_its_spelling_asks_for():
    # What a rule has rewritten is held to every digit: it is not taken for its like that the user wrote so.
    def written(x, y):
        return F.softplus(x).atan() - F.softplus(y).atan()

    def both(x, y):
        return torch.log(1 + x.exp()).atan() - torch.log(1 + y.exp()).atan(), written(x, y)

    x, y = torch.rand(5), torch.rand(5)
    alone, together = Rewritten(written), Rewritten(both)
    alone.call(x, y), together.call(x, y)
    assert not alone.notes
    assert sum(NOTE in note for note in together.notes) == 1


def test_low_precision_is_computed_in_float32():
    def rms_norm(x, w):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * w

    x, w = torch.tensor([[300.0, -400.0, 250.0]]).half(), torch.tensor([1.0, 0.5, 2.0]).half()
    rewritten = Rewritten(rms_norm)
    found = rewritten.call(x, w)
    assert found.dtype == torch.float16
    assert torch.allclose(found.double(), rms_norm(x.double(), w.double()), rtol=1e-3)
    assert any("computed in float32" in note for note in rewritten.notes)


def test_low_precision_that_float32_is_wrong_for_too():
    x = torch.tensor([1e-3, -3e-4, 2e-2]).bfloat16()
    rewritten = Rewritten(lambda x: x.atan() - x)
    found = rewritten.call(x)
    assert torch.allclose(found.double(), x.double().atan() - x.double(), rtol=1e-2, atol=0)
    assert any(NOTE in note for note in rewritten.notes)


def test_what_a_user_rounds_is_rounded():
    def function(x):
        low = (x * 300.0).half()
        return (low.float() - x * 300.0).abs() > 0, low

    x = torch.rand(7)
    assert torch.equal(Rewritten(function).call(x)[1], function(x)[1])


def test_a_recurrent_cell_stays_in_float32():
    def mixture(z, c, h):
        z = torch.sigmoid(z)
        return (1 - z) * torch.tanh(c) + z * h

    rewritten = Rewritten(mixture)
    rewritten.call(*(torch.randn(3, 4, requires_grad=True) for _ in range(3)))
    assert not any(NOTE in note for note in rewritten.notes)


def test_the_report_names_what_cannot_be_tried():
    x = torch.randn([2] * 11)
    function = tessera.compile(lambda x: x.atan() - x)
    function(x)
    said = [note for one in function.report.compilations for note in one.notes if "not tried" in note]
    assert len(said) == 1
    assert "test_wider.py:" in said[0]


def test_sums_over_edges_are_wide_where_their_exponentials_overflow():
    index = torch.tensor([0, 0, 1])

    def attention(score):
        e = score.exp()
        total = torch.zeros(2).index_add_(0, index, e)
        return e / total[index]

    score = torch.tensor([100.0, 99.0, -300.0], requires_grad=True)
    rewritten = Rewritten(attention)
    assert torch.allclose(rewritten.call(score), torch.tensor([0.73105858, 0.26894142, 1.0]), rtol=1e-6)
    assert any(NOTE in note for note in rewritten.notes)
