from __future__ import annotations

import pytest
import torch

from tessera import torch_internals
from tessera.backend.precision_choice import ATTENTION, INLINED, SMALLEST, choose
from tessera.program import Phase, resolve_precision
from tests.backend.hand_made import aten, program

pytestmark = pytest.mark.usefixtures("low_precision_products")

A, B = torch.rand(32, 24), torch.rand(24, 40)
NUMBERS = torch.arange(24)


def chosen(function, *inputs, precision="bf16"):
    made = program(function, *inputs)
    made.precision = resolve_precision(precision)
    return choose(made)


def reason(function, *inputs, precision="bf16"):
    choice = chosen(function, *inputs, precision=precision)
    assert not choice.lowered
    (why,) = set(choice.kept.values())
    return why


def test_products_of_every_kind_are_lowered():
    def function(a, b):
        image, filters = a.view(2, 16, 4, 6), b.view(10, 16, 2, 3)
        return (
            a @ b,
            torch.addmm(b[0], a, b),
            torch.bmm(a.view(4, 8, 24), b.view(1, 24, 40).expand(4, 24, 40)),
            torch.conv2d(image, filters),
        )

    choice = chosen(function, A, B)
    assert len(choice.lowered) == 4
    assert set(choice.lowered.values()) == {torch.bfloat16}
    assert not choice.kept
    assert list(choice.notes()) == ["precision bf16: bf16 (cpu has instructions)", "  4 products in bf16"]


def test_other_dtypes_are_none_of_our_business():
    for dtype in (torch.float64, torch.bfloat16, torch.float16, torch.complex64, torch.int64):
        choice = chosen(lambda a, b: (a @ b,), A.to(dtype), B.to(dtype))
        assert not choice.lowered
        assert not choice.kept


def test_a_cast_of_the_users_stays():
    assert reason(lambda a, b: (a.float() @ b,), A.bfloat16(), B) == "you cast its operand from bf16"
    assert reason(lambda a, b: ((a.float().T * 0.5).T @ b,), A.half(), B) == "you cast its operand from fp16"
    assert chosen(lambda a, b: (a.float() @ b,), A.double(), B).lowered


def test_large_whole_numbers_stay_exact():
    def by_position(n, b):
        return (n.float().expand(32, 24) @ b,)

    assert reason(by_position, NUMBERS, B) == "positions and counts need all digits"
    assert chosen(by_position, NUMBERS.to(torch.uint8), B).lowered
    made_here = reason(lambda b: (torch.arange(24.0).expand(32, 24) @ b,), B)
    assert made_here == "positions and counts need all digits"


@pytest.mark.parametrize("function", [torch.sin, torch.cos, lambda x: torch.cat([x, x * 2]).cos()])
def test_angles_stay_exact(function):
    assert reason(lambda a, b: (function(a @ b),), A, B) == "its result is an angle"


def test_what_is_factorised_stays_exact():
    def covariance(a):
        return (torch.linalg.cholesky(a.T @ a + torch.eye(24)),)

    assert reason(covariance, A) == "its result is factorised"
    assert chosen(lambda a, b: (torch.linalg.vector_norm(a @ b),), A, B).lowered


def test_what_follows_another_product_decides_for_itself():
    choice = chosen(lambda a, b: (torch.sin((a @ b) @ b.T),), A, B)
    assert len(choice.lowered) == len(choice.kept) == 1


def test_small_products_stay():
    assert INLINED < SMALLEST
    assert reason(lambda a, b: (a @ b,), A[:4], B) == "too small to gain"
    assert reason(lambda a, b: (a @ b,), A, B, precision="auto") == "too small to gain"
    large = torch.rand(128, 128)
    assert chosen(lambda a: (a @ a,), large, precision="auto").lowered


def with_forward_and_backward():
    """A product ``a @ b`` of the layer ``inner.scores`` with what AOTAutograd knows of it, and its backward."""
    made = program(lambda a, b, g: (a @ b, g @ b.T), A, B, torch.rand(32, 40))
    forward, backward = made.graph.find_nodes(op="call_function", target=aten.mm.default)
    layers = {"1": ("L['self'].inner", torch.nn.Module), "2": ("L['self'].inner.scores", torch.nn.Module)}
    forward.meta |= {"nn_module_stack": layers, "phase": Phase.FORWARD, "seq_nr": 7}
    backward.meta |= {"fwd_nn_module_stack": layers, "phase": Phase.BACKWARD, "seq_nr": 7}
    return made, forward, backward


def test_rules_go_by_the_layer_forward_and_backward():
    for precision, lowered in (({"inner": "bf16"}, 2), ({"default": "bf16", "inner.scores": "fp32"}, 0)):
        made, _, _ = with_forward_and_backward()
        made.precision = resolve_precision(precision)
        choice = choose(made)
        assert len(choice.lowered) == lowered
        assert list(choice.kept.values()) == (["the rule for inner.scores"] * 2 if not lowered else [])


def test_under_an_autocast_the_user_has_decided():
    made, forward, _ = with_forward_and_backward()
    made.precision = resolve_precision("bf16")
    forward.meta["custom"] = {torch_internals.UNDER_AUTOCAST: True}
    choice = choose(made)
    assert not choice.lowered
    assert set(choice.kept.values()) == {"your own autocast decides"}
    assert list(choice.notes())[1].startswith("  2 products not: your own autocast decides; one is aten.mm")


def test_an_attention_that_cannot_be_written_out_keeps_its_kernel(monkeypatch):
    def attend(q, k):
        return (ATTENTION(q, k, k)[0],)

    q = torch.rand(2, 3, 16, 8)
    assert chosen(attend, q, q).lowered
    monkeypatch.setattr("tessera.backend.precision_choice.LARGEST_SCORES", 2 * 3 * 16 * 16 - 1)
    assert reason(attend, q, q) == "its fused kernel is slower in low precision"


def test_numbers_that_autograd_has_not_given_join_nothing():
    made, forward, backward = with_forward_and_backward()
    made.precision = resolve_precision("bf16")
    forward.meta |= {"custom": {torch_internals.UNDER_AUTOCAST: True}, "seq_nr": -1}
    backward.meta["seq_nr"] = -1
    assert list(choose(made).lowered) == [backward]


def test_what_is_lifted_takes_its_backward_along():
    made, forward, backward = with_forward_and_backward()
    made.precision = resolve_precision("bf16")
    choice = choose(made)
    choice.lift([forward], "asked for by name")
    assert len(choice.lowered) == 2
    choice.automatic = dict.fromkeys(choice.lowered)
    choice.lift([forward], "off")
    assert not choice.lowered
    assert choice.kept == {forward: "off", backward: "off"}
