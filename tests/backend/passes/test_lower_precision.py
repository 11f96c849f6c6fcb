from __future__ import annotations

import pytest
import torch

from tessera.backend.inductor import compile_program
from tessera.backend.passes.lower_precision import CAST, lower_precision
from tessera.backend.precision_verdict import Verdict
from tessera.program import Phase, Role, Value, resolve_precision
from tests.backend.hand_made import aten, program, run, targets

pytestmark = pytest.mark.usefixtures("low_precision_products")

DRAW = torch.Generator().manual_seed(0)
X, W, BIAS, IMAGE, FILTERS, Q = (
    torch.randn(*shape, generator=DRAW)
    for shape in ((32, 24), (40, 24), (40,), (2, 8, 9, 9), (6, 8, 3, 3), (2, 3, 16, 20))
)


def lowered(function, *inputs, precision="bf16"):
    made = program(function, *inputs)
    made.precision = resolve_precision(precision)
    return made, lower_precision(made)


def casts(made):
    """The dtypes that are cast to, in order."""
    return [node.args[1] for node in made.graph.find_nodes(op="call_function", target=CAST)]


def two_layers(x, w, bias):
    hidden = torch.tanh(torch.addmm(bias, x, w.T))
    return (hidden @ w, hidden.square().sum())


def test_operands_are_cast_once_and_results_come_back():
    made, count = lowered(two_layers, X, W, BIAS)
    assert count == 2
    assert aten.addmm.default not in targets(made)
    # x and w down, the product up, hidden down, the product up; w and its transpose are one cast
    assert casts(made) == [torch.bfloat16, torch.bfloat16, torch.float32, torch.bfloat16, torch.float32]
    assert [node.meta["val"].dtype for node in made.results] == [torch.float32] * 2
    assert lower_precision(made) == 0


def pooled(x, w):
    return (torch.conv2d(torch.max_pool2d(torch.conv2d(x, w).relu(), 2), w[:, :6]),)


CASES = {
    "two layers": (two_layers, (X, W, BIAS)),
    "scaled sum": (lambda x, w, b: (torch.addmm(b, x, w.T, beta=0.5, alpha=2),), (X, W, BIAS)),
    "no sum": (lambda x, w, b: (torch.addmm(b / 0, x, w.T, beta=0),), (X, W, BIAS)),
    "batches": (lambda q: (torch.baddbmm(q[0], q[0], q[1].mT @ q[1], beta=2),), (Q,)),
    "batches of products": (lambda q: (q @ q.mT @ q,), (Q,)),
    "convolution": (lambda x, w: (torch.conv2d(x, w, w[:, 0, 0, 0], padding=1),), (IMAGE, FILTERS)),
    "convolution in 1-d": (lambda x, w: (torch.conv1d(x.flatten(2), w[:, :, 0], w[:, 0, 0, 0]),), (IMAGE, FILTERS)),
    "transposed": (lambda x, w: (torch.conv_transpose2d(x, w.mT.transpose(0, 1)),), (IMAGE, FILTERS)),
    "attention": (lambda q: (torch.nn.functional.scaled_dot_product_attention(q, q * 2, q, is_causal=True),), (Q,)),
    "moved about": (lambda x, w: (torch.cat([x @ w.T, x @ w.T * 2])[:, ::2].reshape(-1, 40) @ w,), (X, W)),
    "pooled": (pooled, (IMAGE, FILTERS)),
    "one and the same": (lambda x: (x @ x.T,), (X,)),
}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("case", CASES)
def test_the_value_stays(case, precision):
    function, inputs = CASES[case]
    made, count = lowered(function, *inputs, precision=precision)
    assert count >= 1
    exact = function(*(value.double() for value in inputs))
    ours = run(made, *inputs)
    errors = [float((o - e).norm() / e.norm()) for o, e in zip(ours, exact, strict=True)]
    assert {o.dtype for o in ours} == {torch.float32}
    assert max(errors) < (8e-3 if precision == "bf16" else 1e-3)
    assert max(errors) > 1e-6  # it was computed in low precision


def test_it_holds_back_where_nothing_is_asked_or_bears_it():
    for precision in ("fp32", "tf32"):
        made, count = lowered(two_layers, X, W, BIAS, precision=precision)
        assert count == 0
        assert casts(made) == []
    assert lowered(two_layers, X, W, BIAS, precision="tf32")[0].notes == [
        "precision tf32: fp32 (there are no tf32 products yet)"
    ]
    doubles = [value.double() for value in (X, W, BIAS)]
    assert lowered(two_layers, *doubles)[1] == 0


def test_what_moves_between_two_products_stays_low():
    function, inputs = CASES["pooled"]
    made, _ = lowered(function, *inputs)
    (pool,) = made.graph.find_nodes(op="call_function", target=aten.max_pool2d_with_indices.default)
    assert pool.args[0].meta["val"].dtype is torch.bfloat16


def test_a_pad_that_puts_in_other_numbers_does_not():
    for number, dtype in ((0.0, torch.bfloat16), (0.1, torch.float32)):

        def padded(x, w):
            return (torch.nn.functional.pad(x @ w.T, (1, 1), value=number),)  # noqa: B023 - called at once

        made, _ = lowered(padded, X, W)
        (pad,) = made.graph.find_nodes(op="call_function", target=aten.constant_pad_nd.default)
        assert pad.args[0].meta["val"].dtype is dtype


def test_memory_that_is_read_as_another_dtype_keeps_its_own():
    bits = torch.randn(32, 24).view(torch.int32)

    def function(bits, w):
        product = bits.view(torch.float32) @ w.T
        parts = torch.view_as_complex(product.view(32, 20, 2)).real @ w[:20]
        return (product.view(torch.int32), torch.as_strided(product, (4, 40), (80, 1)) @ w, parts)

    made, count = lowered(function, bits, W)
    assert count == 2  # the product of 4 x 40 x 24 is too small
    (ours, *other), (exact, *reference) = run(made, bits, W), function(bits, W)
    for value, expected in ((ours.view(torch.float32), exact.view(torch.float32)), *zip(other, reference, strict=True)):
        assert (value - expected).norm() / expected.norm() < 2e-2


def test_the_backward_reads_the_low_copy_and_the_update_casts_for_itself():
    def step(x, w, g):
        hidden = torch.tanh(x)
        gradient = g.T @ hidden
        return (hidden @ w.T, (1 - hidden * hidden) * g.sum(), w - 0.1 * gradient, gradient.norm())

    made = program(step, X, W, torch.randn(32, 40))
    made.precision = resolve_precision("bf16")
    phases = {"tanh": Phase.FORWARD, "sub_1": Phase.UPDATE, "mul_2": Phase.UPDATE, "linalg_vector_norm": Phase.CLIP}
    for node in made.graph.nodes:
        node.meta["phase"] = phases.get(node.name, Phase.BACKWARD)
    assert lower_precision(made) == 2
    by_name = {node.name: node for node in made.graph.nodes}
    assert by_name["mul"].args[0].target is CAST  # of the low copy of hidden
    update, norm = by_name["mul_2"].args[0], by_name["linalg_vector_norm"].args[0]
    assert update is not norm
    assert update.args == norm.args
    assert (update.meta["phase"], norm.meta["phase"]) == (Phase.UPDATE, Phase.CLIP)


def test_it_compiles():
    made, _ = lowered(two_layers, X, W, BIAS)
    expected = run(made, X, W, BIAS)
    executable = compile_program(made)
    assert "torch.bfloat16" in executable.wrapper.source
    for ours, reference in zip(executable.call([X, W, BIAS]), expected, strict=True):
        torch.testing.assert_close(ours, reference, rtol=2e-2, atol=2e-2)


def with_loss(function, *inputs, precision="auto"):
    """A Program whose first result is a loss, with its inputs as examples."""
    made = program(function, *inputs)
    made.outputs[0] = Value("loss", Role.LOSS)
    made.precision, made.examples = resolve_precision(precision), list(inputs)
    for node in made.graph.nodes:
        node.meta["phase"] = Phase.FORWARD
    return made


POINTS = torch.randn(128, 96, generator=torch.Generator().manual_seed(0))


def distances(points, weight):
    """Squared distances by a product: what is left of three large terms."""
    near = points / 100 + 30
    squares = near.square().sum(1)
    between = squares + squares[:, None] - 2 * (near @ near.T)
    return (between.abs().mean() + (points @ weight).square().mean(),)


def test_what_the_first_batch_does_not_bear_is_lifted_and_named():
    weight = torch.randn(96, 128, generator=torch.Generator().manual_seed(1))
    made = with_loss(distances, POINTS, weight)
    expected = run(made, POINTS, weight)
    assert lower_precision(made) == 1
    head, count, why, verdict = made.notes
    assert (head, count) == ("precision auto: bf16 (cpu has instructions)", "  1 product in bf16")
    assert why.startswith("  1 product not: lifted back, for on the first batch: loss off by ")
    assert why.endswith("; aten.mm")
    assert verdict.startswith("  first batch beside fp32: loss off by ")
    torch.testing.assert_close(run(made, POINTS, weight), expected, rtol=1e-2, atol=0)


def test_what_was_asked_for_by_name_is_not_lifted():
    weight = torch.randn(96, 128)
    made = with_loss(distances, POINTS, weight, precision="bf16")
    assert lower_precision(made) == 2


def test_where_all_is_off_all_is_lifted(monkeypatch):
    weight = torch.randn(96, 128)
    never = Verdict(1.0, 1.0, 1.0, None)
    monkeypatch.setattr("tessera.backend.passes.lower_precision.compare", lambda *_: never)
    made = with_loss(distances, POINTS, weight)
    assert lower_precision(made) == 0
    assert casts(made) == []
    assert "  2 products not: lifted back, for on the first batch: loss off by 1.0e+00" in made.notes[1]
