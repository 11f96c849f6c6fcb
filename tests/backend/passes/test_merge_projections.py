import copy
import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

import tessera
from tessera.backend.inductor import compile_program
from tessera.backend.passes import merge_projections as module
from tessera.backend.passes.merge_duplicates import merge_duplicates
from tessera.backend.passes.merge_projections import merge_projections
from tessera.backend.projections.worth import Verdict
from tessera.backend.verify import verify
from tests.backend.hand_made import aten, program, run, targets

X, A, B, C = torch.rand(6, 4), torch.rand(4, 3), torch.rand(4, 5), torch.rand(4, 2)
PRODUCTS = (aten.mm.default, aten.addmm.default)


@pytest.fixture(autouse=True)
def pays(monkeypatch):
    """Whether one product pays is ``projections/worth.py``'s to say; here it does."""
    monkeypatch.setattr(module, "verdict_on", lambda _: Verdict(1.0, 2.0, "said"))


def products(made):
    return sum(target in PRODUCTS for target in targets(made))


def project(x, a, b, c):
    return ((x @ a).exp(), (x @ b).view(2, 3, 5).sin(), (x @ c).sum(0))


def biased(x, a, b, c):
    return ((torch.addmm(a[0], x, a)).exp(), torch.addmm(b[1], x, b).cos())


def linear(x, a, b, c):
    return (F.linear(x, a.t().contiguous()).exp(), F.linear(x, b.t().contiguous()).exp())


def weights(x, a, b, c):
    p, q = x.sin(), x.cos()
    return ((p.t() @ x).exp(), (q.t() @ x).exp())


def added(x, a, b, c):
    square = a @ a.t()
    return (((x @ square).view(2, 3, 4) + x.view(2, 3, 4) + (x.exp() @ (b @ b.t())).view(2, 3, 4)).sin(),)


def backward(x, a, b, c):
    dq, dk, dv = x @ a, x.sin() @ b, x.cos() @ c
    dq, dk, dv = dq.sin(), dk.sin(), dv.sin()
    dx = dq @ a.t() + dk @ b.t() + dv @ c.t()
    return (dx.exp(), (x.t() @ dq).exp(), (x.t() @ dk).exp(), (x.t() @ dv).exp(), dq.sum(0))


@pytest.mark.parametrize(
    ("function", "before", "after"),
    [(project, 3, 1), (biased, 2, 1), (linear, 2, 1), (weights, 2, 1), (added, 4, 3), (backward, 9, 5)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_products_of_one_operand_and_those_that_are_added_become_one(function, before, after):
    inputs = [one.double() for one in (X, A, B, C)]
    made = program(function, *inputs)
    merge_duplicates(made)
    expected = run(made, *inputs)
    assert products(made) == before
    assert merge_projections(made)
    made.graph.eliminate_dead_code()
    verify(made)
    assert products(made) == after
    for now, then in zip(run(made, *inputs), expected, strict=True):
        torch.testing.assert_close(now, then)
        assert now.stride() == then.stride()
    assert merge_projections(made) == 0


def waits_for_another(x, a, b, c):
    first = x @ a
    return (first.exp(), (x @ (b * first.sum())).exp())


def is_a_result(x, a, b, c):
    return (x @ a, (x @ b).view(2, 3, 5))


def needs_a_copy(x, a, b, c):
    return ((x @ a).view(-1).exp(), (x @ b).view(-1).exp())


def reads_memory(x, a, b, c):
    return ((x @ a).as_strided((2,), (3,)).exp(), (x @ b).as_strided((2,), (3,)).exp())


def is_seen_between(x, a, b, c):
    one, other = x @ (a @ a.t()), x.exp() @ (b @ b.t())
    return (one + other, one.sin())


def other_scale(x, a, b, c):
    return (aten.addmm(a[0], x, a, beta=2).exp(), aten.addmm(b[0], x, b, alpha=3).exp())


def bias_for_each_row(x, a, b, c):
    return (torch.addmm(x[:, :1], x, a).exp(), torch.addmm(x[:, :1], x, b).exp())


def another_shape(x, a, b, c):
    return (x.exp() @ a + x[:1].sin() @ a.cos(),)


def random_between(x, a, b, c):
    return ((x @ a).exp(), (x @ torch.rand_like(b)).exp())


@pytest.mark.parametrize(
    "function",
    [
        waits_for_another,
        is_a_result,
        needs_a_copy,
        reads_memory,
        is_seen_between,
        other_scale,
        bias_for_each_row,
        another_shape,
        random_between,
    ],
    ids=lambda value: value.__name__,
)
def test_what_cannot_be_one_is_held_back(function):
    made = program(function, X, A, B, C)
    before = targets(made)
    assert merge_projections(made) == 0
    assert targets(made) == before


def test_dtypes_stay_apart():
    made = program(lambda x, a, b: ((x @ a).exp(), (x.double() @ b).exp()), X, A, B.double())
    assert merge_projections(made) == 0


def test_sizes_that_are_symbols_stay_apart():
    def function(x, a, b):
        return (x @ a).exp(), (x @ b).exp()

    made = program(function, X, A, B)
    made.graph_module = make_fx(function, tracing_mode="symbolic")(X, A, B)
    assert merge_projections(made) == 0


def test_what_does_not_pay_is_left_alone_and_told(monkeypatch):
    monkeypatch.setattr(module, "verdict_on", lambda _: Verdict(2e-3, 1e-3, "measured"))
    made = program(project, X, A, B, C)
    assert merge_projections(made) == 0
    (note,) = made.notes
    assert note.startswith("not merged 3 products of one left operand, [6, 4] x [4, 3|5|2] in float32")
    assert "2 ms as one, 1 ms apart (measured)" in note


def test_two_groups_that_come_to_wait_for_each_other_do_not_both_merge():
    def function(x, y, a, b):
        x1, y1 = x @ a, y @ a.exp()
        x2, y2 = x @ (y1.t() @ y1), y @ (x1.t() @ x1)
        return x1.sin(), x2.sin(), y1.sin(), y2.sin()

    inputs = [torch.rand(4, 4, dtype=torch.float64) for _ in range(4)]
    made = program(function, *inputs)
    expected = run(made, *inputs)
    assert merge_projections(made) == 1
    verify(made)
    torch.testing.assert_close(run(made, *inputs), expected)


OPERATIONS = (torch.sin, torch.tanh, torch.neg, lambda t: t.reshape(4, 4), lambda t: t.permute(1, 0), lambda t: t * 0.5)


def random_function(seed):
    """Products, sums and what stands between, of values that are all square, so that everything fits everything."""
    choose = random.Random(seed)
    steps = [(choose.random(), [choose.random() for _ in range(3)], choose.choice(OPERATIONS)) for _ in range(14)]

    def function(*inputs):
        values = list(inputs)

        def pick(at):
            return values[int(at * len(values)) if at > 0.4 else int(at * len(inputs))]

        for kind, (i, j, k), operation in steps:
            if kind < 0.45:
                values.append(pick(i) @ pick(j))
            elif kind < 0.6:
                values.append(torch.addmm(pick(k)[0], pick(i), pick(j)))
            elif kind < 0.75:
                values.append(pick(i) @ pick(j) + pick(k) @ pick(i))
            elif kind < 0.85:
                values.append(pick(i) + pick(j))
            else:
                values.append(operation(pick(i)))
        return tuple(torch.tanh(value / 64) for value in values[len(inputs) :])

    return function


def merged_beside_itself(seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(4, 4, dtype=torch.float64, generator=generator) for _ in range(3)]
    made = program(random_function(seed), *inputs)
    merge_duplicates(made)
    expected = run(made, *inputs)
    matches = merge_projections(made)
    made.graph.eliminate_dead_code()
    verify(made)
    for now, then in zip(run(made, *inputs), expected, strict=True):
        torch.testing.assert_close(now, then)
        assert now.stride() == then.stride()
    return made, inputs, expected, matches


def test_random_graphs_keep_their_values():
    assert sum(merged_beside_itself(seed)[3] for seed in range(40)) > 40


@pytest.mark.slow
def test_many_random_graphs_keep_their_values_compiled():
    for seed in range(40, 400):
        made, inputs, expected, matches = merged_beside_itself(seed)
        if matches and seed % 30 == 0:
            torch.testing.assert_close(list(compile_program(made).call(list(inputs))), expected)


class Block(nn.Module):
    """Attention with three projections, and a gated MLP."""

    def __init__(self, bias):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 8, bias=bias), nn.Linear(8, 4, bias=bias), nn.Linear(8, 4, bias=bias)
        self.out, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)
        self.gate, self.up, self.down = nn.Linear(8, 16, bias=bias), nn.Linear(8, 16, bias=bias), nn.Linear(16, 8)

    def forward(self, x):
        heads = self.norm(x)
        q, k, v = (one(heads).unflatten(-1, (-1, 4)).transpose(1, 2) for one in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


@pytest.mark.parametrize("bias", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_training_step_keeps_its_value(bias):
    torch.manual_seed(0)
    model = Block(bias)  # in float32: up to torch 2.12 attention in float64 is compiled wrongly on a CPU
    twin = copy.deepcopy(model)
    x, y = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    step = tessera.train_step(model, "mse", torch.optim.SGD(model.parameters(), lr=0.1), clip_norm=1.0)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for _ in range(2):
        loss = step(x, y)
        optimizer.zero_grad()
        expected = F.mse_loss(twin(x), y)
        expected.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=1e-4, atol=1e-5)
    (record,) = [one for c in step.report.compilations for one in c.passes if one.name == "merge_projections"]
    assert record.matches == 6  # of attention and MLP each: forward, into the input, into the weights
    assert "left out" not in record.note
