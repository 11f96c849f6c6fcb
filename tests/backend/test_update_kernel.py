import pytest
import torch

from tessera.backend.passes import gather_updates
from tessera.backend.update_kernel import CHUNK, UPDATE_MANY, compile_formula
from tests.backend.hand_made import updating_program

SIZES = [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 50 * CHUNK + 7]


def momentum(rate, parameters, buffers, gradients):
    new = [0.9 * b + g for b, g in zip(buffers, gradients, strict=True)]
    return [p - rate * b for p, b in zip(parameters, new, strict=True)] + new


def drawn(count, dtype=torch.float32):
    return [torch.randn(size, dtype=dtype) for size in SIZES[:count]]


def formula_and_operands(dtype):
    lists = [drawn(len(SIZES), dtype) for _ in range(3)]
    made = updating_program(momentum, torch.tensor(0.1), *lists)
    members = list(gather_updates._members(made))
    assert len(members) == len(SIZES)
    formulas = {member.formula() for member in members}
    assert len(formulas) == 1, "sizes are no part of a formula"
    return formulas.pop(), lists


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_element_of_every_tensor_is_updated_once(dtype, threads):
    formula, (parameters, buffers, gradients) = formula_and_operands(dtype)
    assert compile_formula(formula)
    rate = torch.tensor(0.1)
    expected = momentum(rate, parameters, buffers, gradients)
    assert [o.written for o in formula.operands] == [True, True, False, False]
    before, _ = torch.get_num_threads(), torch.set_num_threads(threads)
    try:
        written = [t for pair in zip(parameters, buffers, strict=True) for t in pair]
        read = [t for gradient in gradients for t in _in_order(formula, rate, gradient)]
        UPDATE_MANY(formula.name, SIZES, written, read)
    finally:
        torch.set_num_threads(before)
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype is torch.bfloat16 else {}  # eager rounds in between
    for found, wanted in zip([*parameters, *buffers], expected, strict=True):
        torch.testing.assert_close(found, wanted, **tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool], ids=["chosen", "choice"])
def test_a_constant_of_full_size_is_an_operand_like_others(dtype):
    def stepping(rate, parameters, gradients):
        constants = [torch.full(p.shape, 1, dtype=dtype) for p in parameters]
        return [
            torch.where(c, p, g) * rate if dtype is torch.bool else torch.where(g > 0, c, p - rate * g)
            for c, p, g in zip(constants, parameters, gradients, strict=True)
        ]

    rate, parameters, gradients = torch.tensor(0.1), drawn(len(SIZES)), drawn(len(SIZES))
    made = updating_program(stepping, rate, parameters, gradients)
    (formula,) = {member.formula() for member in gather_updates._members(made)}
    assert "aten.full" in formula.text
    assert compile_formula(formula)
    expected = stepping(rate, parameters, gradients)
    read = [t for gradient in gradients for t in _in_order(formula, rate, gradient)]
    UPDATE_MANY(formula.name, SIZES, parameters, read)
    torch.testing.assert_close(parameters, expected)


def _in_order(formula, rate, gradient):
    return [gradient if operand.full else rate for operand in formula.operands if not operand.written]


def test_a_formula_is_compiled_once(monkeypatch):
    first, _ = formula_and_operands(torch.float32)
    second, _ = formula_and_operands(torch.float32)
    assert first.name == second.name
    assert compile_formula(first)
    monkeypatch.setattr("tessera.backend.update_kernel._compile", None)  # calling it would fail
    assert compile_formula(second)


def test_another_formula_has_another_name():
    names = {formula_and_operands(dtype)[0].name for dtype in (torch.float32, torch.float64)}
    other = updating_program(lambda rate, p, b, g: momentum(rate * 2, p, b, g), torch.tensor(0.1), *[drawn(1)] * 3)
    names |= {member.formula().name for member in gather_updates._members(other)}
    third = updating_program(lambda rate, p, b, g: momentum(rate, p, g, b), torch.tensor(0.1), *[drawn(1)] * 3)
    names |= {member.formula().name for member in gather_updates._members(third)}
    assert len(names) >= 3


def test_lists_of_another_length_are_refused():
    formula, (parameters, _, gradients) = formula_and_operands(torch.float32)
    assert compile_formula(formula)
    with pytest.raises(TypeError, match="a list of 2 tensors"):
        UPDATE_MANY(formula.name, SIZES[:1], [parameters[0]], [torch.tensor(0.1), gradients[0]])
