"""Numbers: promotion, signs, overflow, nan, Python scalars, sizes that data decides."""

from __future__ import annotations

import decimal
import fractions
import math
import operator

import numpy as np
import torch

from tests.contracts.odd.recorder import grid, odd


@odd
def integer_arguments(r):
    f = r.compile(lambda x, n: (x * n, n // 3, n % 3, -n // 2, divmod(n, 3), n**2, n >> 1, ~n))
    for n in (7, -7, 0, 1, 2**31, -(2**63), 2**63 - 1):
        f(grid(), n)


@odd
def integers_beyond_64_bits(r):
    f = r.compile(lambda x, n: (n + 1, n * n, x + float(n)))
    for n in (2**63 - 1, 2**64, -(2**70)):
        f(grid(), n)


@odd
def float_arguments(r):
    f = r.compile(lambda x, v: (x * v, v // 1, v % 1, -v, abs(v), int(v) if math.isfinite(v) else None, v == v))
    for v in (0.5, -0.0, 0.0, -1.5, 1e308, float("nan"), float("inf"), 1e-320):
        f(grid(), v)


@odd
def bool_arguments(r):
    f = r.compile(lambda x, b: (x * b, x + b, b + b, -b, not b, b & True, x if b else -x))
    for b in (True, False, True, 1, 0):
        f(grid(), b)


@odd
def float_that_is_an_integer(r):
    f = r.compile(lambda x, n: (x * n, x // n, isinstance(n, int)))
    for n in (2, 2.0, True, 3, 3.0):
        f(grid().long(), n)


@odd
def numpy_scalars(r):
    f = r.compile(lambda x, n: (x * n, x + n))
    for n in (np.float32(1.5), np.float64(1.5), np.int64(3), np.bool_(True), np.float16(0.1)):
        f(grid(), n)


@odd
def numpy_arrays(r):
    def f(a, x):
        return np.sin(a) * 2 + a.mean(), a.astype(np.float32) + x.numpy(), a[::-1], (a > 1).any()

    f = r.compile(f)
    f(np.arange(3.0), grid())
    f(np.arange(3), grid())
    f(np.ones((2, 1)), grid())


@odd
def complex_numbers(r):
    f = r.compile(lambda x, c: (x * c, (x * 1j).abs(), torch.view_as_real(x * (1 + 2j)), (x * c).conj(), c.real))
    for c in (1j, 2 + 3j, complex(0, -0.0)):
        f(grid(), c)


@odd
def complex_inputs(r):
    f = r.compile(lambda z: (z * z.conj(), z.real, z.imag, z.angle(), z.conj(), z.conj().imag, z.resolve_conj()))
    z = torch.complex(grid(), -grid())
    f(z)
    f(z.conj())
    f(z.t())


@odd
def promotion_by_python_scalars(r):
    f = r.compile(
        lambda x: (
            x + 1,
            x + 1.0,
            x + True,
            x * 1j if x.dtype != torch.bool else x,
            2 - x if x.dtype != torch.bool else x,
        )
    )
    for dtype in (
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int32,
        torch.int8,
        torch.uint8,
        torch.bool,
        torch.float64,
    ):
        f(torch.ones(2, 3).to(dtype))


@odd
def promotion_by_no_dimensions(r):
    f = r.compile(lambda x, s: (x + s, x * s, torch.where(x > 1, x, s)))
    for s in (torch.tensor(1.5), torch.tensor(2), torch.tensor(1.5, dtype=torch.float64), torch.tensor(True)):
        f(grid(), s)
        f(grid().half(), s)
        f(grid().int(), s)


@odd
def integer_overflow(r):
    f = r.compile(lambda x: (x + x, x * x, x - 1, -x, x << 1, x.sum(), x.abs(), x // -1))
    f(torch.tensor([127, -128, 1], dtype=torch.int8))
    f(torch.tensor([2**31 - 1, -(2**31), 1], dtype=torch.int32))
    f(torch.tensor([2**63 - 1, 3, 1], dtype=torch.int64))
    f(torch.tensor([255, 0, 1], dtype=torch.uint8))


@odd
def integer_division_signs(r):
    def f(x, y):
        return (
            x // y,
            x % y,
            torch.div(x, y, rounding_mode="trunc"),
            torch.fmod(x, y),
            torch.remainder(x, y),
            x / y,
            torch.div(x, y, rounding_mode="floor"),
        )

    f = r.compile(f)
    a, b = torch.tensor([7, -7, 7, -7, 0]), torch.tensor([2, 2, -2, -2, 5])
    f(a, b)
    f(a.float(), b.float())
    f(a.float() + 0.5, b)
    f(a.int(), 3)
    f(a.int(), -3)


@odd
def division_by_zero(r):
    f = r.compile(lambda x, y: (x / y, x // y, x % y))
    f(torch.tensor([1.0, -1.0, 0.0]), torch.zeros(3))
    f(torch.tensor([1.0, -1.0, 0.0]), 0)
    f(torch.tensor([1, 2]), torch.tensor([1, 0]))


@odd
def division_by_zero_in_python(r):
    f = r.compile(lambda x, n: x * (1 / n) + 5 % n)
    f(grid(), 2)
    f(grid(), 0)
    f(grid(), 0.0)
    f(grid(), 3)


@odd
def signed_zero(r):
    f = r.compile(
        lambda x: (
            x * 0,
            -x,
            0 - x,
            x + 0.0,
            x - 0.0,
            x * -1,
            torch.copysign(torch.ones(3), x),
            1 / x,
            x.abs(),
            x.neg(),
        )
    )
    f(torch.tensor([0.0, -0.0, 1.0]))
    f(torch.tensor([-1.0, -0.0, 0.0]))


@odd
def nan_compared(r):
    def f(x):
        return (
            x == x,
            x != x,
            x.max(),
            torch.maximum(x, x.flip(0)),
            x.clamp(0, 1),
            x.sort()[0],
            x.argmax(),
            torch.sign(x),
            x.isnan(),
            x.nan_to_num(),
            x.relu(),
            torch.fmax(x, x.flip(0)),
        )

    f = r.compile(f)
    f(torch.tensor([1.0, float("nan"), -2.0, float("inf")]))
    f(torch.tensor([float("nan")] * 3))


@odd
def nan_as_a_key(r):
    nan = float("nan")
    f = r.compile(lambda x, d: (d.get(nan, "none"), len(d), x * len({nan: 1, float("nan"): 2})))
    f(grid(), {nan: 1})
    f(grid(), {float("nan"): 1})


@odd
def min_max_sum_sorted(r):
    def f(ts):
        return sum(ts), max(ts), min(ts), sorted(ts, key=lambda t: -float(t)), any(t > 1 for t in ts), all(ts)

    f = r.compile(f)
    f([torch.tensor(1.0), torch.tensor(3.0), torch.tensor(2.0)])
    f([torch.tensor(0.0), torch.tensor(-3.0)])


@odd
def round_floor_int(r):
    def f(x, v):
        return (
            round(v),
            round(v, 1),
            math.floor(v),
            math.ceil(v),
            math.trunc(v),
            int(v),
            x.round(),
            x.floor(),
            x.round(decimals=1),
        )

    f = r.compile(f)
    for v in (0.5, 1.5, 2.5, -0.5, -1.25, 2.675):
        f(torch.tensor([v, -v, 2 * v]), v)


@odd
def python_float_of_a_tensor(r):
    f = r.compile(
        lambda x: (
            float(x.sum()),
            int(x.max()),
            x.mean().item(),
            round(float(x[0, 0]), 2),
            bool(x[0, 1]),
            complex(x[0, 0]),
        )
    )
    for s in (1, -1, 0.3):
        f(grid(s))


@odd
def item_used_again(r):
    f = r.compile(lambda x: (x * x.sum().item(), x[: int(x[0, 1])], [0] * int(x[0, 0].item() % 3)))
    for s in (1, 0.5, 2):
        f(grid(s))


@odd
def tolist_and_index(r):
    def f(x):
        rows = x.long().tolist()
        return rows, [sum(row) for row in rows], x[rows[0][0] % 2], dict(enumerate(rows[1]))

    f = r.compile(f)
    f(grid())
    f(grid(2))


@odd
def tensor_as_an_index(r):
    names = ["a", "b", "c", "d"]
    f = r.compile(lambda x, i: (names[i], x[i], x[:, i], names[i:], list(range(i))))
    f(grid(), torch.tensor(1))
    f(grid(), torch.tensor(0))
    f(grid(), torch.tensor(1.0))


@odd
def operator_index_and_hash(r):
    f = r.compile(lambda x, i: (operator.index(i), x * operator.index(i), hash(3), {x: 1}[x]))
    f(grid(), torch.tensor(2))
    f(grid(), 5)


@odd
def nonzero_and_masks(r):
    def f(x):
        return x.nonzero(), x[x > 3], torch.masked_select(x, x > 2), torch.where(x > 4), x[x > 100].sum()

    f = r.compile(f)
    for s in (1, 2, -1):
        f(grid(s))


@odd
def nonzero_then_more(r):
    def f(x):
        kept = x[x > 2]
        return kept * 2 + 1, kept.shape[0], kept.view(-1, 1) @ kept.view(1, -1), kept.numel() > 3

    f = r.compile(f)
    for s in (1, 2, -1, 0.4):
        f(grid(s))


@odd
def unique_and_bincount(r):
    def f(x):
        u, inverse, count = torch.unique(x, return_inverse=True, return_counts=True)
        return u, inverse, count, torch.bincount(x), torch.unique_consecutive(x), x.repeat_interleave(x)

    f = r.compile(f)
    f(torch.tensor([1, 2, 2, 0]))
    f(torch.tensor([3, 3, 3]))
    f(torch.tensor([0]))


@odd
def sizes_that_change(r):
    f = r.compile(lambda x: (x.view(x.shape[0], -1), x.shape, x.numel() // 2, torch.zeros(x.size(-1)), x.mean(0)))
    for n in (2, 3, 1, 0, 5, 2):
        f(torch.ones(n, 3))
        f(torch.ones(3, n))


@odd
def branch_on_a_size(r):
    f = r.compile(lambda x: x[:2] if len(x) > 3 else x.sum(0) if x.shape[0] % 2 else -x)
    for n in (1, 2, 3, 4, 5, 0, 100):
        f(torch.ones(n, 2))


@odd
def size_as_a_python_number(r):
    def f(x):
        n = x.shape[0]
        return f"{n} rows", [n] * n, {n: x}, str(n), n / 2, math.sqrt(n), type(n).__name__, range(n), isinstance(n, int)

    f = r.compile(f)
    for n in (1, 2, 3, 4):
        f(torch.ones(n, 2))


@odd
def empty_tensors(r):
    f = r.compile(lambda x: (x.sum(), x * 2, x.mean(), torch.cat([x, x]), x.numel(), x.prod(), x.reshape(-1)))
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 3)):
        f(torch.ones(shape))


@odd
def empty_tensor_reduced(r):
    f = r.compile(lambda x: x.max())
    f(torch.ones(2))
    f(torch.ones(0))


@odd
def no_dimensions(r):
    f = r.compile(lambda x: (x * 2, x.sum(), x.view(1), x[None], x.item(), x.unsqueeze(0).expand(3), x.ndim))
    f(torch.tensor(3.0))
    f(torch.tensor(3))
    f(torch.tensor(True))


@odd
def iterate_over_no_dimensions(r):
    f = r.compile(lambda x: [v for v in x])
    f(torch.ones(2))
    f(torch.tensor(1.0))


@odd
def sizes_of_one(r):
    f = r.compile(lambda x, y: (x + y, x * y.t(), torch.cat([x, y]), x.squeeze(), y.expand(4, 3)))
    f(torch.ones(1, 3), torch.ones(1, 3))
    f(torch.ones(2, 3), torch.ones(1, 3))
    f(torch.ones(1, 1), torch.ones(1, 3))


@odd
def decimals_and_fractions(r):
    def f(x, v):
        return x * float(v), v + v, str(v * 2)

    f = r.compile(f)
    f(grid(), decimal.Decimal("1.1"))
    f(grid(), fractions.Fraction(1, 3))
    f(grid(), fractions.Fraction(2, 3))


@odd
def math_of_arguments(r):
    f = r.compile(
        lambda x, v: x * math.sqrt(v) + math.exp(-v) + math.log(v) + math.atan2(v, 2) + math.pi + math.gcd(4, 6)
    )
    for v in (2.0, 3.0, 0.5):
        f(grid(), v)
    f(grid(), -1.0)
    f(grid(), 0.0)


@odd
def pow_of_everything(r):
    f = r.compile(lambda x, n: (x**n, n**x, torch.pow(x, n)))
    for n in (0, 1, 2, 3, -1, 0.5, 2.0):
        f(grid() - 3, n)
        f(grid().long(), n) if n >= 0 else None


@odd
def shifts_and_bits(r):
    f = r.compile(lambda x, n: (x << n, x >> n, x & n, x | n, x ^ n, ~x))
    for n in (0, 1, 5):
        f(torch.tensor([1, -7, 100]), n)


@odd
def bool_tensors(r):
    f = r.compile(lambda a, b: (a & b, a | b, a ^ b, ~a, a + b, a * b, a.sum(), a == b, a.any(), a.float() - b.float()))
    f(torch.tensor([True, False]), torch.tensor([True, True]))


@odd
def bool_tensor_subtraction(r):
    f = r.compile(lambda a, b: a - b)
    f(torch.tensor([1, 0]), torch.tensor([1, 1]))
    f(torch.tensor([True, False]), torch.tensor([True, True]))


@odd
def low_precision_sums(r):
    f = r.compile(lambda x: (x.sum(), x.mean(), x.softmax(0), x + 1, x.cumsum(0), x.norm(), x.var()))
    f(torch.ones(3000, dtype=torch.float16))
    f(torch.full((300,), 0.1, dtype=torch.bfloat16))


@odd
def casts(r):
    f = r.compile(lambda x: (x.int(), x.long(), x.to(torch.int8), x.bool(), x.half(), x.to(torch.float64).float()))
    f(torch.tensor([1.7, -1.7, 0.0, 100.5]))
    f(torch.tensor([-0.5, 0.5]))


@odd
def comparison_with_none_and_strings(r):
    f = r.compile(lambda x: (x == None, x is None, x != None, (x == "a") is False))  # noqa: E711
    f(grid())
    f(None)


@odd
def contains_and_index(r):
    f = r.compile(lambda x, v: (v in x, 3.0 in x, torch.tensor(2.0) in x, [1, 2].index(2)))
    f(grid(), 1.0)
    f(grid(), 100.0)


@odd
def tensors_in_sets_and_dicts(r):
    def f(x, y):
        seen = {x: "x", y: "y"}
        return seen[x], len({x, y, x}), x in seen, [k.sum() for k in seen]

    f = r.compile(f)
    a = grid()
    f(a, grid())
    f(a, a)


@odd
def reversed_operands(r):
    f = r.compile(lambda x: (1 - x, 2 / x, 3 // x, 2**x, 5 % x, 1 << x.long(), True & x.bool(), 3 > x, [1, 2, 3] == x))
    f(grid())


@odd
def matmul_of_odd_shapes(r):
    f = r.compile(lambda a, b: a @ b)
    f(torch.ones(3), torch.ones(3))
    f(torch.ones(2, 3), torch.ones(3))
    f(torch.ones(3), torch.ones(3, 2))
    f(torch.ones(0, 3), torch.ones(3, 2))
    f(torch.ones(2, 0), torch.ones(0, 2))
    f(torch.ones(4, 2, 3), torch.ones(3, 1))
    f(torch.ones(2, 3), torch.ones(2, 3))
