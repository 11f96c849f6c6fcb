"""What a model may compute of whole numbers, each as a function of ``a`` and ``b``, ``[R, C]`` of one type.

The numbers of an export's example are small; those that the file meets later need not be. So every function comes with
the numbers that are hard for it (``EDGES``, by what its second argument means).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Function = Callable[[Tensor, Tensor], Tensor]
TYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
COLUMNS = 4
_BIG = 2**53 + 1  # no float64
_MIDDLE = 2**24 + 1  # no float32


def _tenths(a: Tensor) -> Tensor:
    return a.to(torch.float32) / 10


def _floats(a: Tensor) -> Tensor:
    """Of either sign, with halves: 2.5 is rounded to 2."""
    return a.to(torch.float32) / 2


# Of any two numbers.
ANY: dict[str, Function] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a * 3": lambda a, b: a * 3,
    "5 - a": lambda a, b: 5 - a,
    "a + 2 b": lambda a, b: torch.add(a, b, alpha=2),
    "-a": lambda a, b: -a,
    "abs": lambda a, b: a.abs(),
    "sign": lambda a, b: a.sign(),
    "signbit": lambda a, b: torch.signbit(a),
    "square": lambda a, b: a.square(),
    "a ** 3": lambda a, b: a**3,
    "a ** 0": lambda a, b: a**0,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "not": lambda a, b: ~a,
    "and 7": lambda a, b: a & 7,
    "or 9": lambda a, b: a | 9,
    "xor 5": lambda a, b: a ^ 5,
    "hash": lambda a, b: ((a ^ b) * 73 + 11) & 127,
    "equal": lambda a, b: a == b,
    "less": lambda a, b: a < b,
    "greater or equal": lambda a, b: a >= b,
    "not equal": lambda a, b: a != b,
    "more than a half": lambda a, b: a > 0.5,
    "logical and": torch.logical_and,
    "logical xor": torch.logical_xor,
    "logical not": lambda a, b: torch.logical_not(a),
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "clamp": lambda a, b: a.clamp(2, 100),
    "clamp below": lambda a, b: a.clamp(min=3),
    "clamp above": lambda a, b: a.clamp_max(100),
    "clamp by tensors": lambda a, b: torch.clamp(a, b, b + 3),
    "clamp to halves": lambda a, b: a.clamp(2.5, 10.5),
    "clamp by crossed bounds": lambda a, b: a.clamp(9, 4),
    "where": lambda a, b: torch.where(a > b, a, b),
    "where a number": lambda a, b: torch.where(a > b, a, 7),
    "masked fill": lambda a, b: a.masked_fill(a > b, 111),
    "sum": lambda a, b: a.sum(),
    "sum of a row": lambda a, b: a.sum(1),
    "sum, kept": lambda a, b: a.sum(-1, keepdim=True),
    "sum as int32": lambda a, b: a.sum(1, dtype=torch.int32),
    "product": lambda a, b: a.prod(1),
    "product of all": lambda a, b: a[:, :2].prod(),
    "cumsum": lambda a, b: a.cumsum(1),
    "cumsum of a column": lambda a, b: a.cumsum(0),
    "cumprod": lambda a, b: a.cumprod(1),
    "mean in float64": lambda a, b: a.mean(1, dtype=torch.float64),
    "mean of floats": lambda a, b: a.double().mean(1),
    "amax": lambda a, b: a.amax(1),
    "amin": lambda a, b: a.amin(0),
    "max": lambda a, b: a.max(),
    "max of a row": lambda a, b: a.max(1).values,
    "argmax": lambda a, b: a.argmax(1),
    "argmax, kept": lambda a, b: a.argmax(1, keepdim=True),
    "argmax of all": lambda a, b: a.argmax(),
    "argmax of all, kept": lambda a, b: a.argmax(keepdim=True),
    "argmin of ties": lambda a, b: (a // 64).argmin(1),
    "max of ties, where": lambda a, b: (a & 3).max(1).indices,
    "sort": lambda a, b: a.sort(1).values,
    "sort down": lambda a, b: a.sort(1, descending=True).values,
    "stable order": lambda a, b: (a & 3).argsort(dim=1, stable=True),
    "topk": lambda a, b: a.topk(2, 1).values,
    "smallest": lambda a, b: a.topk(2, 1, largest=False).values,
    "median": lambda a, b: a.median(1).values,
    "kthvalue": lambda a, b: a.kthvalue(2, 1).values,
    "cummax": lambda a, b: a.cummax(1).values,
    "any": lambda a, b: a.any(1),
    "all": lambda a, b: a.all(1),
    "count": lambda a, b: a.count_nonzero(1),
    "to int64": lambda a, b: a.long() * 3,
    "to int32": lambda a, b: a.int(),
    "to int8": lambda a, b: a.to(torch.int8),
    "to uint8": lambda a, b: a.to(torch.uint8),
    "to bool": lambda a, b: a.bool(),
    "to float32": lambda a, b: a.float(),
    "to float64": lambda a, b: a.double(),
    "a * 0.5": lambda a, b: a * 0.5,
    "a + 0.5": lambda a, b: a + 0.5,
    "mixed": lambda a, b: a + b.long(),
    "mixed with int32": lambda a, b: a * b.int(),
    "with a mask": lambda a, b: a * (b > 3),
    "1 - mask": lambda a, b: 1 - (a > b).to(a.dtype),
    "masks added": lambda a, b: (a > b).sum(1),
    "running mask": lambda a, b: (a > b).cumsum(1),
    "row of ids": lambda a, b: (a != 1).long().cumsum(1) * (a != 1).long() + 1,
    "diff": lambda a, b: a.diff(dim=1),
    "roll back": lambda a, b: a.roll(-1, 1),
    "roll flat": lambda a, b: a.roll(3),
    "flip": lambda a, b: a.flip(1),
    "triangle": lambda a, b: a.tril(1),
    "cat": lambda a, b: torch.cat([a, b], 1),
    "padded": lambda a, b: functional.pad(a, (1, 2), value=5),
    "isin": lambda a, b: torch.isin(a, torch.tensor([1, 127, 3], dtype=a.dtype)),
    "bucketize": lambda a, b: torch.bucketize(a, torch.tensor([1, 5, 100], dtype=a.dtype)),
    "searchsorted": lambda a, b: torch.searchsorted(torch.tensor([1, 5, 100], dtype=a.dtype), a, right=True),
    "outer": lambda a, b: a[:, :, None] * b[:, None, :],
    "matmul": lambda a, b: a @ b.T,
    "bmm": lambda a, b: torch.bmm(a[:, None, :], b[:, :, None]),
    "einsum": lambda a, b: torch.einsum("ij,ij->i", a, b),
    "addcmul": lambda a, b: torch.addcmul(a, a, b, value=2),
    "scatter add": lambda a, b: torch.zeros_like(a).scatter_add(1, b.long() & 3, a),
    "scatter amax": lambda a, b: a.scatter_reduce(1, b.long() & 3, b, "amax"),
    "scatter": lambda a, b: a.scatter(1, (b[:, :1].long() & 3), 77),
    "index add": lambda a, b: torch.zeros_like(a).index_add(1, torch.tensor([3, 3, 0, 1]), a),
    "one hot": lambda a, b: functional.one_hot(a.long() & 7, 8),
    "last column": lambda a, b: a[:, -1],
    "columns by negative places": lambda a, b: a[:, torch.tensor([-1, 0, -3])],
    "gather": lambda a, b: a.gather(1, b.long() & 3),
    "full": lambda a, b: torch.full_like(a, 101) + a,
    "gcd": torch.gcd,
    "positions": lambda a, b: torch.arange(a.shape[0])[:, None] * a.long(),
    "range from far": lambda a, b: torch.arange(_MIDDLE, _MIDDLE + 4) + a.long(),
    "range by threes": lambda a, b: torch.arange(7, -5, -3) + a.long(),
    "range over a size": lambda a, b: torch.arange(0, 3 * a.shape[0], 3),
}

# Of numbers that have a place for numbers beyond 2 ** 53.
WIDE: dict[str, Function] = {
    "equal to a big one": lambda a, b: a == _BIG,
    "more than a big one": lambda a, b: a > _BIG,
    "clamp to big ones": lambda a, b: a.clamp(-_BIG, _BIG),
    "clamp above a big one": lambda a, b: a.clamp(min=_BIG),
    "a + big": lambda a, b: a + _BIG,
    "big - a": lambda a, b: _BIG - a,
    "a * big": lambda a, b: a * _BIG,
    "masked fill with a big one": lambda a, b: a.masked_fill(a > b, _BIG),
    "where a big one": lambda a, b: torch.where(a > b, a, _BIG),
    "padded with a big one": lambda a, b: functional.pad(a, (1, 0), value=_BIG),
    "full of a big one": lambda a, b: torch.full_like(a, _BIG) ^ a,
    "and a big one": lambda a, b: a & (2**62 + _BIG),
    "isin big ones": lambda a, b: torch.isin(a, torch.tensor([_BIG, -_BIG])),
    "bucketize by big ones": lambda a, b: torch.bucketize(a, torch.tensor([-_BIG, _BIG - 1, _BIG])),
    "remainder of a big one": lambda a, b: a % _BIG,
    "a // big": lambda a, b: a // _BIG,
    "range of big ones": lambda a, b: torch.arange(_BIG, _BIG + 4) + a,
    "a mix": lambda a, b: (a * 0x5851F42D4C957F2D + 0x14057B7EF767814F) ^ (b >> 29),
    "constants": lambda a, b: a + torch.tensor([_BIG, -_BIG, _MIDDLE, 2**62]),
}

# Where ``b`` is no zero.
DIVISORS: dict[str, Function] = {
    "a // b": lambda a, b: a // b,
    "a % b": lambda a, b: a % b,
    "fmod": torch.fmod,
    "floor": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "trunc": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
    "a / b": lambda a, b: a / b,
    "a // 3": lambda a, b: a // 3,
    "a % 3": lambda a, b: a % 3,
    "a // 1": lambda a, b: a // 1,
    "fmod 3": lambda a, b: torch.fmod(a, 3),
    "floor by 7": lambda a, b: torch.div(a, 7, rounding_mode="floor"),
    "trunc by 7": lambda a, b: torch.div(a, 7, rounding_mode="trunc"),
    "a / 4": lambda a, b: a / 4,
    "100 // b": lambda a, b: 100 // b,
    "100 % b": lambda a, b: 100 % b,
    "by float64": lambda a, b: (a.double() / b).floor(),
    "row and column": lambda a, b: (a // b) * b + a % b,
}

# Where the numbers may be negative.
SIGNED: dict[str, Function] = {
    "a // -3": lambda a, b: a // -3,
    "a % -3": lambda a, b: a % -3,
    "fmod -3": lambda a, b: torch.fmod(a, -3),
    "floor by -7": lambda a, b: torch.div(a, -7, rounding_mode="floor"),
    "trunc by -7": lambda a, b: torch.div(a, -7, rounding_mode="trunc"),
    "-100 // b": lambda a, b: -100 // b,
    "-100 % b": lambda a, b: -100 % b,
    "a * -1": lambda a, b: a * -1,
    "clamp to negative ones": lambda a, b: a.clamp(-5, -2),
    "relu": lambda a, b: functional.relu(a),
}

# Where ``b`` is a number of bits.
SHIFTS: dict[str, Function] = {
    "a << b": lambda a, b: a << b,
    "a >> b": lambda a, b: a >> b,
    "a << 3": lambda a, b: a << 3,
    "a >> 2": lambda a, b: a >> 2,
    "1 << b": lambda a, b: torch.bitwise_left_shift(torch.ones_like(a), b),
    "bit": lambda a, b: (a >> b) & 1,
    "a >> b by its name": torch.bitwise_right_shift,
    "a << 100": lambda a, b: a << 100,
}

# Where ``b`` is a small exponent.
EXPONENTS: dict[str, Function] = {
    "a ** b": lambda a, b: a**b,
    "2 ** b": lambda a, b: 2**b,
    "3 ** b": lambda a, b: 3**b,
    "-3 ** small": lambda a, b: (-3) ** (b & 3),
    "a ** 7": lambda a, b: a**7,
    "2.0 ** b": lambda a, b: 2.0**b,
}

# Where ``b`` is a place, from either end.
PLACES: dict[str, Function] = {
    "taken by place": lambda a, b: a[torch.arange(a.shape[0])[:, None], b.long()],
    "row of a table": lambda a, b: torch.arange(40).view(4, 10)[b.long()],
    "put at places": lambda a, b: torch.zeros(4, dtype=a.dtype).index_put((b.long(),), a, accumulate=True),
}

# Of numbers that float32 holds with a half: whole numbers made of others.
HALVES: dict[str, Function] = {
    "to a whole number": lambda a, b: _floats(a).long(),
    "to int32": lambda a, b: _floats(a).int(),
    "round": lambda a, b: _floats(a).round(),
    "round to a tenth": lambda a, b: (_floats(a) / 10).round(decimals=1),
    "floor": lambda a, b: _floats(a).floor().long(),
    "ceil": lambda a, b: _floats(a).ceil().long(),
    "trunc": lambda a, b: _floats(a).trunc(),
    "frac": lambda a, b: _floats(a).frac(),
    "float // 3": lambda a, b: _floats(a) // 3,
    "float // -3": lambda a, b: _floats(a) // -3,
    "float % 3": lambda a, b: _floats(a) % 3,
    "float % -3": lambda a, b: _floats(a) % -3,
    "float fmod": lambda a, b: torch.fmod(_floats(a), 3),
    "float floor": lambda a, b: torch.div(_floats(a), 0.75, rounding_mode="floor"),
    "float trunc": lambda a, b: torch.div(_floats(a), 0.75, rounding_mode="trunc"),
    "float remainder of a tensor": lambda a, b: torch.remainder(_floats(a), _floats(b)),
    "float fmod of a tensor": lambda a, b: torch.fmod(_floats(a), _floats(b)),
    "float // tensor": lambda a, b: _floats(a) // _floats(b),
    "float sign": lambda a, b: _floats(a).sign(),
    "float to bool": lambda a, b: _floats(a).bool(),
    "sum of rounded": lambda a, b: _floats(a).round().long().sum(1),
}

# Of numbers that are nearly some tenths: a quotient may be rounded up to a whole number.
TENTHS: dict[str, Function] = {
    "tenths // 0.1": lambda a, b: _tenths(a) // 0.1,
    "tenths // tenths": lambda a, b: _tenths(a) // _tenths(b),
    "tenths % 0.1": lambda a, b: _tenths(a) % 0.1,
    "tenths % tenths": lambda a, b: _tenths(a) % _tenths(b),
    "fmod of tenths": lambda a, b: torch.fmod(_tenths(a), _tenths(b)),
    "floor of tenths": lambda a, b: torch.div(_tenths(a), _tenths(b), rounding_mode="floor"),
    "trunc of tenths": lambda a, b: torch.div(_tenths(a), _tenths(b), rounding_mode="trunc"),
    "bins of tenths": lambda a, b: (_tenths(a) / 0.1).floor().long(),
    "round to two places": lambda a, b: (_tenths(a) * 0.37).round(decimals=2),
}


def _pairs(firsts: list[int], seconds: list[int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Every pair, in rows."""
    both = list(itertools.product(firsts, seconds))
    both += both[: -len(both) % COLUMNS]
    a, b = zip(*both, strict=True)
    return tuple(torch.tensor(each, dtype=dtype).view(-1, COLUMNS) for each in (a, b))


def _hard(dtype: torch.dtype) -> list[int]:
    """Numbers where a type ends, and those that a float cannot hold."""
    least, most = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    powers = [2**7, 2**8, 2**15, 2**16, 2**24, 2**31, 2**32, 2**53]
    found = [0, 1, 2, 3, 5, 7, 9, 10, most, most - 1, least, least + 1]
    found += [sign * (power + more) for power in powers for more in (-1, 0, 1) for sign in (1, -1)]
    found += [-1, -2, -3, -7, -10]
    return [each for each in dict.fromkeys(found) if least <= each <= most]


def _divisors(dtype: torch.dtype) -> list[int]:
    found = [1, 2, 3, 7, 10, 100, -2, -3, -7, -100, 2**20 + 1, 2**31 - 1, 2**40 + 1]
    return [each for each in found if torch.iinfo(dtype).min <= each <= torch.iinfo(dtype).max]


def _halves(dtype: torch.dtype) -> list[int]:
    """Numbers whose half float32 holds."""
    found = [*range(-11, 12), 2**20 + 1, -(2**20) - 1, 2**23 + 1, -(2**23) - 1]
    return [each for each in found if torch.iinfo(dtype).min <= each <= torch.iinfo(dtype).max]


def edges(family: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The numbers that are hard for these functions."""
    hard, signed, bits = _hard(dtype), dtype.is_signed, torch.iinfo(dtype).bits
    firsts, seconds = {
        "divisors": (hard, _divisors(dtype)),
        "signed": (hard, _divisors(dtype)),
        "shifts": (hard, [0, 1, 3, bits // 2, bits - 2, bits - 1, bits, bits + 5]),
        "exponents": (hard, [0, 1, 2, 3, 5, 20, 39, 62, 63, 100]),
        "places": (hard, [0, 1, 2, 3, *([-1, -2, -3, -4] if signed else [])]),
        "halves": (_halves(dtype), [1, 2, 3, 6, *([-1, -3] if signed else [])]),
        "tenths": ([*_halves(dtype)[:-4], 100], [1, 2, 3, 6, 7, *([-1, -3] if signed else [])]),
    }.get(family, (hard, hard))
    return _pairs(firsts, seconds, dtype)


def example(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Such numbers as an export is called with."""
    a = torch.tensor([[4, 1, 9, 2], [7, 7, 3, 12], [5, 8, 6, 11]], dtype=dtype)
    b = torch.tensor([[1, 2, 3, 1], [2, 1, 3, 3], [3, 2, 1, 2]], dtype=dtype)
    return a, b


FAMILIES: dict[str, dict[str, Function]] = {
    "any": ANY,
    "wide": WIDE,
    "divisors": DIVISORS,
    "signed": SIGNED,
    "shifts": SHIFTS,
    "exponents": EXPONENTS,
    "places": PLACES,
    "halves": HALVES,
    "tenths": TENTHS,
}


def families(dtype: torch.dtype) -> list[str]:
    """Those that the type is for."""
    without = set() if dtype == torch.int64 else {"wide"}
    without |= set() if dtype.is_signed else {"signed"}
    return [each for each in FAMILIES if each not in without]
