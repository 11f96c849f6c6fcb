from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tessera.export import exact_arithmetic as ours
from tessera.export.export import export
from tessera.export.loading import load_model

A = torch.tensor([7, -7, 2**24 + 3, -(2**53) - 3, 2**63 - 1, 0, 12])
B = torch.tensor([2, -3, 7, 10**6 + 3, -9, 5, -4])
X = torch.tensor([1.0, -1.0, 0.3, 7.5, -7.5, 1e9, 0.6])
Y = torch.tensor([0.1, 0.1, 0.1, -2.0, 2.0, 0.7, -0.2])
LINES = [(A, B), (A.int(), B.int()), (A.to(torch.int8), B.to(torch.int8).clamp(min=1)), (A, 3), (-100, B)]


@pytest.mark.parametrize(("a", "b"), LINES, ids=range(len(LINES)))
@pytest.mark.parametrize("rounding", ["floor", "trunc"])
def test_quotients_of_whole_numbers(a, b, rounding):
    a = torch.tensor(a) if isinstance(a, int) else a
    expected = torch.div(a, b, rounding_mode=rounding)
    assert torch.equal(ours.quotient(a, b, rounding_mode=rounding), expected)


@pytest.mark.parametrize(("a", "b"), LINES, ids=range(len(LINES)))
def test_remainders_with_the_numbers_sign(a, b):
    a = torch.tensor(a) if isinstance(a, int) else a
    assert torch.equal(ours.remainder_of_its_sign(a, b), torch.fmod(a, b))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_quotients_and_remainders_of_floats(kind):
    for a, b in ((X.to(kind), Y.to(kind)), (X.to(kind), 0.1), (X.to(kind), torch.zeros(7, dtype=kind))):
        floor = torch.div(a, b, rounding_mode="floor")
        torch.testing.assert_close(ours.quotient(a, b, rounding_mode="floor"), floor, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(ours.floor_quotient(a, b), floor, rtol=0, atol=0, equal_nan=True)
        rest = torch.remainder(a, b)
        torch.testing.assert_close(ours.remainder(a, b), rest, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint8])
def test_powers_go_round_as_torchs(kind):
    exponent = torch.tensor([0, 1, 5, 39, 63, 100, 2]).to(kind)
    base = A.to(kind)
    assert torch.equal(ours.power(base, exponent), base**exponent)
    assert torch.equal(ours.power(3, exponent), 3**exponent)
    assert torch.equal(ours.power(base, 7), base**7)
    assert torch.equal(ours.power(base, 0), base**0)
    assert torch.equal(ours.square(base), base * base)


def test_negative_powers():
    base, exponent = torch.tensor([1, -1, -1, 2, 5]), torch.tensor([-3, -3, -2, -1, -9])
    assert torch.equal(ours.power(base, exponent), base**exponent)


def test_what_is_translated_right_is_left():
    assert ours.quotient(A, B) is NotImplemented
    assert ours.quotient(X, Y, rounding_mode="trunc") is NotImplemented
    assert ours.floor_quotient(A, B) is NotImplemented
    assert ours.remainder(A, B) is NotImplemented
    assert ours.remainder_of_its_sign(X, Y) is NotImplemented
    assert ours.power(X, 2) is NotImplemented
    assert ours.square(X) is NotImplemented


@pytest.mark.parametrize(("a", "b"), LINES, ids=range(len(LINES)))
def test_remainders_with_the_divisors_sign(a, b):
    a = torch.tensor(a) if isinstance(a, int) else a
    assert torch.equal(ours.whole_remainder(a, b), torch.remainder(a, b))
    assert torch.equal(ours.whole_remainder(X, Y), torch.remainder(X, Y))


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8])
def test_shifts_by_any_number(kind):
    b = torch.tensor([0, 1, 7, 8, 31, 64, 100 if kind == torch.uint8 else -1]).to(kind)
    a = A.to(kind)
    assert torch.equal(ours.left_shift(a, b), a << b)
    assert torch.equal(ours.right_shift(a, b), a >> b)
    assert torch.equal(ours.left_shift(a, 3), a << 3)
    assert torch.equal(ours.right_shift(a, 70), a >> 70)


class Buckets(nn.Module):
    """A hash, of ids that are small in the example."""

    def forward(self, ids: Tensor) -> Tensor:
        return torch.div(ids * 31 + 7, 1000, rounding_mode="floor") + torch.fmod(ids, 97) + ids % -89 + ids**3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # ExecuTorch's and torchao's own
@pytest.mark.parametrize(("ending", "package"), [(".onnx", "onnxruntime"), (".pte", "executorch")])
def test_a_file_of_small_ids_is_right_of_large_ones(tmp_path, ending, package):
    pytest.importorskip(package)
    path = export(Buckets(), tmp_path / f"m{ending}", torch.tensor([[3, 8, 1]]), ({0: "B"},), measure=False).path
    ids = torch.tensor([[2**24 + 1, 2**40 + 12345, -(2**53) - 1], [999, -999, 2**31]])
    (found,) = load_model(path)(ids)
    assert torch.equal(found, Buckets()(ids))
