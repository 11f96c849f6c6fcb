from __future__ import annotations

import pytest
import torch

from tessera.export.complex_arithmetic import FIRST, WRITTEN, Pair, UnknownToPairsError, as_pair, on_both, part_of

Z, W = torch.randn(2, 3, 4, 4, dtype=torch.cdouble).unbind()
X = torch.randn(3, 4, 4, dtype=torch.double)
aten = torch.ops.aten


def whole(found):
    return torch.complex(*found) if isinstance(found, Pair) else found


def pair(z):
    return Pair(z.real, z.imag)


BINARY = {name: getattr(torch, name) for name in ("mul", "add", "sub", "div", "matmul", "bmm")}


@pytest.mark.parametrize("name", BINARY)
def test_two_operands(name):
    operator, written = BINARY[name], WRITTEN[name]
    torch.testing.assert_close(whole(written(pair(Z), pair(W))), operator(Z, W))
    torch.testing.assert_close(whole(written(pair(Z), X)), operator(Z, X.to(Z.dtype)))
    if name != "div":
        torch.testing.assert_close(whole(written(X, pair(Z))), operator(X.to(Z.dtype), Z))
    if name in ("mul", "add", "sub", "div"):
        torch.testing.assert_close(whole(written(pair(Z), 2.5)), operator(Z, 2.5))
        torch.testing.assert_close(whole(written(pair(Z), 1 - 2j)), operator(Z, 1 - 2j))


@pytest.mark.parametrize("name", ["abs", "angle", "exp", "conj", "real", "imag", "view_as_real"])
def test_one_operand(name):
    torch.testing.assert_close(whole(WRITTEN[name](pair(Z))), getattr(torch, name)(Z).resolve_conj())


@pytest.mark.parametrize("normalization", [0, 1, 2])
@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_transforms_of_even_and_odd_lengths(length, normalization):
    z, x = torch.randn(3, length, 5, dtype=torch.cdouble), torch.randn(3, length, 5, dtype=torch.double)
    for forward in (True, False):
        found = WRITTEN["_fft_c2c"](pair(z), [0, 1], normalization, forward)
        torch.testing.assert_close(whole(found), aten._fft_c2c(z, [0, 1], normalization, forward))
    for onesided in (True, False):
        found = FIRST["_fft_r2c"](x, [0, 1], normalization, onesided)
        torch.testing.assert_close(whole(found), aten._fft_r2c(x, [0, 1], normalization, onesided))
    half = aten._fft_r2c(x, [0, 1], 0, True)
    found = WRITTEN["_fft_c2r"](pair(half), [0, 1], normalization, length)
    torch.testing.assert_close(found, aten._fft_c2r(half, [0, 1], normalization, length))


def test_both_parts_and_real_numbers_beside_them():
    found = on_both(aten.cat.default)([pair(Z), X], 1)
    torch.testing.assert_close(whole(found), torch.cat([Z, X.to(Z.dtype)], 1))
    pieces = on_both(aten.split.Tensor)(pair(Z), 2, 1)
    torch.testing.assert_close([whole(each) for each in pieces], list(Z.split(2, 1)))
    index = torch.tensor([2, 0])
    torch.testing.assert_close(whole(on_both(aten.index_select.default)(pair(Z), 1, index)), Z.index_select(1, index))
    assert part_of({"dtype": torch.cfloat, "n": (1, None)}, 1) == {"dtype": torch.float32, "n": (1, None)}
    assert whole(WRITTEN["full"]((2, 2), 1 - 1j, dtype=torch.cfloat)).equal(torch.full((2, 2), 1 - 1j))
    torch.testing.assert_close(whole(WRITTEN["where"](X > 0, pair(Z), 1.0)), torch.where(X > 0, Z, 1.0))
    torch.testing.assert_close(whole(WRITTEN["_to_copy"](X, dtype=torch.cfloat)), X.to(torch.cfloat))
    assert as_pair(3j) == (0.0, 3.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: WRITTEN["_to_copy"](pair(Z), dtype=torch.float32),
        lambda: WRITTEN["einsum"]("bij,bjk,bkl->bil", [pair(Z), pair(Z), pair(Z)]),
        lambda: FIRST["_fft_r2c"](torch.zeros(5000), [0], 0, True),
        lambda: WRITTEN["full"]((2,), torch.tensor(1.0), dtype=torch.cfloat),
    ],
    ids=["to real", "three factors", "a long transform", "full of a tensor"],
)
def test_what_is_unknown_is_said(call):
    with pytest.raises(UnknownToPairsError):
        call()
