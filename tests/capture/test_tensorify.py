from __future__ import annotations

import pytest
import torch

from tessera import torch_internals
from tessera.capture.step_down import CannotCapture
from tessera.capture.tensorify import Tensorify, fix_numbers


def record(function, *tensors):
    mode = torch_internals.new_fake_mode()
    number = torch_internals.symbolic_float(mode, "lr", 0.1)
    fakes = [torch_internals.fake_copy(mode, t) for t in tensors]
    recorded = torch_internals.trace(lambda *a: (function(*a),), *fakes, number, fake_mode=mode)
    fix_numbers(recorded)
    return recorded, torch_internals.SymbolGuards(mode, [number])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "update",
    [
        lambda p, g, lr: p - lr * g,
        lambda p, g, lr: p * (1 - lr * 0.01) - g / (1 - lr**3),
        lambda p, g, lr: p.clamp(-lr, lr) + torch.full_like(g, lr),
    ],
)
def test_a_recorded_update_has_the_bits_of_eager(update, dtype):
    p, g = torch.randn(64).to(dtype), torch.randn(64).to(dtype)
    recorded, holds = record(update, p, g)
    for lr in (0.1, 0.37):
        assert holds([lr])
        (result,) = Tensorify(recorded).run(p, g, torch.tensor(lr, dtype=torch.float64))
        assert result.dtype == dtype
        assert torch.equal(result, update(p, g, lr))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("update", [lambda p, g, lr: torch.add(p, g, alpha=-lr), lambda p, g, lr: p.lerp(g, 1 - lr)])
def test_where_eager_rounds_once_for_two_operations_the_last_bits_may_differ(update, dtype):
    p, g = torch.randn(64).to(dtype), torch.randn(64).to(dtype)
    recorded, _ = record(update, p, g)
    (result,) = Tensorify(recorded).run(p, g, torch.tensor(0.37, dtype=torch.float64))
    expected = update(p, g, 0.37)
    torch.testing.assert_close(result, expected, rtol=0, atol=torch.finfo(dtype).eps * expected.abs().max().item())


def test_a_number_no_tensor_can_replace_becomes_a_guarded_constant():
    p = torch.randn(64)
    recorded, holds = record(lambda p, lr: torch.where(p <= lr, p, 0.0), p)
    (result,) = Tensorify(recorded).run(p, torch.tensor(0.1, dtype=torch.float64))
    assert torch.equal(result, torch.where(p <= 0.1, p, 0.0))
    assert holds([0.1])
    assert not holds([0.2])


def test_arithmetic_without_a_tensor_form_is_refused():
    p = torch.randn(4)
    recorded, _ = record(lambda p, lr: p * torch.sym_float(lr // 0.03), p)
    with pytest.raises(CannotCapture, match="a hyper-parameter is used in .*, which has no tensor form"):
        Tensorify(recorded).run(p, torch.tensor(0.1, dtype=torch.float64))
