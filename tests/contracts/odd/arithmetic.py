"""Numbers as Python and PyTorch compute them: signs, wrapping, NaN, ties, rounding, dtypes of every odd mixture."""

from __future__ import annotations

import cmath
import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.contracts.odd.recorder import grid, odd

NAN, INF = float("nan"), float("inf")


@odd
def narrow_integers_wrap(r):
    def f(x, y):
        s = x + y
        return s, s.to(torch.int16), (x * y).float(), (x - y) > 0, (-x).to(torch.int32), (x + y) // 2, x.sum().dtype

    f = r.compile(f)
    for dtype in (torch.uint8, torch.int8, torch.int16):
        f(torch.tensor([200, 100, 3]).to(dtype), torch.tensor([100, 100, 5]).to(dtype))


@odd
def shifts_beyond_the_width(r):
    f = r.compile(lambda x, n: (x << n, x >> n, x & 3, x | 8, ~x))
    x = torch.tensor([1, -1, 5], dtype=torch.int32)
    for n in (0, 31, 1):
        f(x, n)
    f(x, torch.tensor([31, 32, 40], dtype=torch.int32))
    f(x.to(torch.uint8), torch.tensor([7, 8, 9], dtype=torch.uint8))


@odd
def division_rounds_down(r):
    def f(x, y):
        return x // y, x % y, torch.remainder(x, y), torch.fmod(x, y), torch.div(x, y, rounding_mode="trunc")

    f = r.compile(f)
    a, b = torch.tensor([7, -7, 7, -7]), torch.tensor([3, 3, -3, -3])
    f(a, b)
    f(a.float(), b.float())
    f(a.to(torch.int8), b.to(torch.int8))
    f(a.float(), torch.tensor([INF, -INF, 0.0, -0.0]))
    f(a, torch.tensor([1, 0, 1, 1]))


@odd
def division_of_python_numbers(r):
    def f(x, a, b):
        return (
            x + a // b,
            a % b,
            divmod(a, b),
            a / b,
            round(a / b),
            int(a / b),
            -a // b,
            pow(a, b, 7) if b > 0 else None,
        )

    f = r.compile(f)
    for a, b in ((7, 3), (-7, 3), (7, -3), (8, 2), (7, 3)):
        f(grid(), a, b)
    f(grid(), 1, 0)


@odd
def rounding_to_even(r):
    f = r.compile(
        lambda x, k: (
            x.round(),
            x.round(decimals=1),
            x.trunc(),
            x.frac(),
            x.to(torch.int32),
            round(k),
            round(k, 1),
            int(k),
        )
    )
    for k in (0.5, 1.5, 2.5, -0.5, 2.675):
        f(torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 0.25]), k)


@odd
def largest_with_nan(r):
    def f(x):
        return (
            x.max(),
            x.min(),
            x.amax(1),
            x.max(1),
            x.argmax(1),
            x.argmin(),
            torch.maximum(x[0], x[1]),
            torch.fmax(x[0], x[1]),
            x.clamp(0, 1),
            x.nan_to_num(),
            x.nansum(),
            x.cummax(1),
            F.relu(x),
            x.sign(),
        )

    f = r.compile(f)
    f(torch.tensor([[1.0, NAN, 3.0], [NAN, 2.0, -INF]]))
    f(torch.tensor([[1.0, 2.0, 3.0], [-0.0, 0.0, INF]]))


@odd
def sorted_with_ties_and_nan(r):
    def f(x):
        values, places = x.sort(stable=True)
        down = x.sort(descending=True, stable=True)
        return (
            values,
            places,
            down,
            x.argsort(stable=True),
            x.median(),
            x.mode().values,
            x.unique(),
            x.kthvalue(2).values,
        )

    f = r.compile(f)
    f(torch.tensor([3.0, 1.0, 3.0, 1.0, 2.0, 1.0]))
    f(torch.tensor([3.0, NAN, -0.0, 0.0, -INF, NAN]))


@odd
def ties_of_argmax(r):
    f = r.compile(lambda x: (x.argmax(), x.argmax(0), x.max(1).indices, x.argmin(1), x.topk(2).values, x.amax().item()))
    f(torch.tensor([[2.0, 2.0, 1.0], [2.0, 0.0, 0.0]]))
    f(torch.zeros(3, 4))


@odd
def gradient_at_a_tie(r):
    f = r.compile(
        lambda x: (x.amax(), x.max(), x.max(1).values, torch.maximum(x, x.detach()), x.clamp(max=2.0), x.abs())
    )
    f(torch.tensor([[2.0, 2.0, 1.0], [2.0, 0.0, 0.0]]).requires_grad_())


@odd
def gradients_at_corners(r):
    def f(x):
        return (
            x.relu(),
            F.leaky_relu(x),
            F.hardtanh(x),
            x.sign() * x,
            F.softplus(x),
            x.square().sqrt(),
            F.elu(x),
            F.gelu(x),
        )

    f = r.compile(f)
    f(torch.tensor([0.0, -0.0, 1.0, -1.0, 30.0]).requires_grad_())


@odd
def signs_of_zero_pass_through(r):
    def f(x, k):
        return x * k, x + k, k + k, k * -1.0, abs(k), max(k, 0.0), min(0.0, k), str(k), k == 0, 1 / (k or INF)

    f = r.compile(f)
    for k in (0.0, -0.0, 2.0, -0.0, 0.0, 3.0):
        f(torch.tensor([1.0, -1.0, 0.0]), k)


@odd
def sign_of_zero_decides(r):
    f = r.compile(lambda x, k: x * 2 if math.copysign(1.0, k) > 0 else x * 3)
    for k in (1.0, -1.0, 0.0, -0.0, 5.0, -0.0):
        f(grid(), k)


@odd
def floats_beyond_float32(r):
    f = r.compile(
        lambda x, k: (x.double() * k, x * 0 + k * 1e-300, k * 2, k > 1e300, x.clamp(min=-k) if k < 1e38 else x)
    )
    for k in (1.0, 1e300, 1e-320, 5e-324, 1e39, 3.0):
        f(grid(), k)


@odd
def infinities_as_arguments(r):
    f = r.compile(lambda x, k: (x.clamp(max=k), x * k, k == k, math.isinf(k), k - k))
    for k in (1.0, INF, -INF, NAN, 2.0, INF):
        f(grid(), k)


@odd
def large_python_integers(r):
    f = r.compile(lambda x, n: (x + n % 7, n * n, n + 1, float(n), n.bit_length(), hash(n), x * (n > 2**62)))
    for n in (2, 3, 2**31, 2**53 + 1, 2**62 + 3, 2**63, 2**64 + 5, -(2**63) - 1, 10**30):
        f(grid(), n)


@odd
def integers_of_an_int_tensor_overflow(r):
    f = r.compile(lambda x, n: (x * n, x + n, x.to(torch.int64) * n))
    for n in (2, 3, 2**31 - 1, 2**31, -1):
        f(torch.tensor([1, 2, 2**30], dtype=torch.int32), n)


@odd
def bools_are_numbers(r):
    f = r.compile(
        lambda x, b: (
            x + b,
            b + b,
            b * 3,
            -b,
            ~int(b),
            x.bool() + b,
            x.bool() * True,
            b and x,
            [1, 2][b],
            sum([b, b]),
            x > b,
        )
    )
    for b in (True, False, 1, 0):
        f(grid(), b)


@odd
def bool_tensors_compute(r):
    def f(x, y):
        return (
            x + y,
            x * y,
            x & y,
            x ^ y,
            x.sum(),
            x.cumsum(0),
            x / y,
            x * 2,
            x + 0.5,
            x.float().mean(),
            x.any(),
            x == 1,
            x < y,
        )

    f = r.compile(f)
    f(torch.tensor([True, False, True]), torch.tensor([True, True, False]))


@odd
def default_dtype_of_mixtures(r):
    f = r.compile(
        lambda x: (
            x / 2,
            x * 0.5,
            x.sum() / 3,
            torch.arange(3) * 0.1,
            torch.tensor(1.5),
            torch.full((2,), 2),
            x.mean(dtype=torch.float64),
            torch.ones(2) * torch.tensor(2.0, dtype=torch.float64),
            torch.where(x > 0, 1.0, 0),
        )
    )
    for dtype in (torch.int64, torch.bool, torch.float16, torch.float64):
        f(torch.ones(2, 3, dtype=dtype))
    torch.set_default_dtype(torch.float64)
    f(torch.ones(2, 3, dtype=torch.int64))
    torch.set_default_dtype(torch.float32)
    f(torch.ones(2, 3, dtype=torch.int64))


@odd
def sums_of_half_precision(r):
    def f(x):
        return x.sum(), x.mean(), x.cumsum(0), x.softmax(0), (x * x).sum(), x.norm(), x.prod(), x.var(), x.exp()

    f = r.compile(f)
    f(torch.full((64,), 0.1, dtype=torch.bfloat16))
    f(torch.full((64,), 30.0, dtype=torch.float16))


@odd
def empty_reductions(r):
    functions = (
        lambda x: x.sum(),
        lambda x: x.mean(),
        lambda x: x.prod(0),
        lambda x: x.max(),
        lambda x: x.argmax(),
        lambda x: x.amax(0),
        lambda x: x.all() | x.any(),
        lambda x: x.softmax(-1),
        lambda x: x.logsumexp(0),
        lambda x: torch.cat([x, x]),
        lambda x: x @ x.t(),
        lambda x: x.median(),
    )
    for function in functions:
        f = r.compile(function)
        f(torch.ones(0, 3))
        f(torch.ones(2, 0))
        f(torch.ones(2, 3))


@odd
def no_dimensions_against_numbers(r):
    def f(x, s):
        return (
            x + s,
            s + 1,
            s * 2.5,
            s.item() + 1,
            float(s),
            x.sum() + s,
            s.reshape(1),
            s[None],
            torch.stack([s, s]),
            int(s),
        )

    f = r.compile(f)
    for s in (torch.tensor(2), torch.tensor(2.5), torch.tensor(True), torch.tensor(2.5, dtype=torch.float64)):
        f(grid(), s)
        f(grid().half(), s)


@odd
def complex_arithmetic(r):
    def f(z):
        return (
            z.abs(),
            z.angle(),
            z * 1j,
            z.conj() * z,
            z.sum(),
            torch.polar(z.abs(), z.angle()),
            z**2,
            z.exp(),
            z.real > 0,
            z == z,
        )

    f = r.compile(f)
    f(torch.tensor([1 + 2j, -1 - 0j, 0j, complex(NAN, 1)]))
    f(torch.tensor([1 + 2j, -1 - 0j], dtype=torch.complex128))


@odd
def complex_python_numbers(r):
    f = r.compile(lambda x, c: (x * c.real, c * c, abs(c), c.conjugate(), cmath.phase(c), x + 0 * c.imag, c == c.real))
    for c in (1 + 2j, 2 + 0j, 3j, complex(-0.0, 0.0), 1 + 2j):
        f(grid(), c)


@odd
def powers(r):
    f = r.compile(lambda x, n: (x**n, n**x, x.pow(2), torch.pow(x, -1.0), x**0.5, 0**x, x**0))
    for n in (2, 0, 3, -1, 0.5, -0.5):
        f(torch.tensor([0.0, 1.0, -2.0, 3.0]), n)
    g = r.compile(lambda x, n: x**n)
    for n in (2, 0, 3, -1):
        g(torch.tensor([0, 1, -2, 3]), n)


@odd
def casts_that_do_not_fit(r):
    f = r.compile(
        lambda x: (x.half(), x.bfloat16().float(), x.bool(), x.double(), x.clamp(-5, 5).to(torch.int8), x.isfinite())
    )
    f(torch.tensor([1e5, -1e-9, 0.1, NAN, INF, 3.9, -3.9]))


@odd
def numpy_scalars_mix(r):
    f = r.compile(lambda x, s: (x * s, x + s, s * 2, type(s).__name__))
    for s in (np.float32(1.5), np.float64(1.5), np.int64(2), np.float32(2.5), np.bool_(True), np.int8(100)):
        f(grid(), s)


@odd
def text_of_numbers(r):
    def f(x, k):
        return (
            x * k,
            f"{k:.3f}",
            f"{k!r:>8}",
            "%g" % k,
            str(k * 2),
            format(k, "e"),
            k.hex(),
            k.is_integer(),
            k.as_integer_ratio(),
        )

    f = r.compile(f)
    for k in (0.1, 2.0, 1e22, 0.1, -0.0):
        f(grid(), k)


@odd
def steps_and_linear_spaces(r):
    f = r.compile(
        lambda x, a, b: (torch.arange(a, b, 0.5), torch.linspace(a, b, 5), x + a, torch.arange(int(a), int(b)))
    )
    for a, b in ((0.0, 2.0), (1.0, 3.0), (0.5, 4.25), (2.0, 2.0)):
        f(grid(), a, b)


@odd
def cumulative_and_running(r):
    f = r.compile(
        lambda x: (x.cumsum(1), x.cumprod(0), x.logcumsumexp(1), x.diff(), x.cummin(0).values, x.flip(1).cumsum(1))
    )
    f(torch.tensor([[1.0, -2.0, 3.0], [0.0, INF, -1.0]]))
    f(torch.tensor([[1, -2, 3], [0, 5, -1]], dtype=torch.int32).float())


@odd
def kernel_warns_of_what_it_is_given(r):
    f = r.compile(lambda x: x.var())
    f(torch.ones(1))
    f(torch.ones(3))


@odd
def inverses_are_other_tensors(r):
    f = r.compile(lambda x: (x.exp().log(), x.square().sqrt(), -(-x), x.t().t(), x.reciprocal().reciprocal()))
    x = grid()
    for result in f(x) if r.way != "step" else ():
        result.add_(1)
    r.see(x)
