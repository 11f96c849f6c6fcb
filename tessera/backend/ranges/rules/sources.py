"""Tensors that are made: of a number, of a range of numbers, at random."""

from __future__ import annotations

import functools
import math

from tessera.backend.ranges.formats import format_of
from tessera.backend.ranges.question import Question, Rule, dtype_of
from tessera.backend.ranges.value_range import INF, TOP, Range, between, number

_FAR = 4.0  # standard deviations that a normal number is ordinarily away from its mean


def _full(position: int, q: Question) -> Range:
    return q.range(position)


def _counted(q: Question) -> Range:
    """Arange."""
    numbers = [one for one in q.node.args if isinstance(one, (int, float))]
    if len(numbers) != len(q.node.args) or not numbers:
        return Range(0.0, INF)
    start, end = (0, numbers[0]) if len(numbers) == 1 else numbers[:2]
    step = numbers[2] if len(numbers) > 2 else 1
    count = math.ceil((end - start) / step) if step else 0
    if count <= 0:
        return TOP
    return between(*sorted((float(start), float(start + (count - 1) * step)))).changed(
        integer=all(one == int(one) for one in (start, step))
    )


def _spaced(q: Question) -> Range:
    ends = q.argument(0), q.argument(1)
    if all(isinstance(end, (int, float)) for end in ends):
        return between(*sorted(map(float, ends)))
    return TOP


def _uniform(q: Question) -> Range:
    low, high = 0.0, 1.0
    if "uniform" in str(q.node.target):
        low, high = float(q.argument(1, "from", 0.0)), float(q.argument(2, "to", 1.0))
    form = format_of(dtype_of(q.node))
    last = high - (high - low) * (form.epsilon / 2 if form else 0.0)
    return Range(low, last, (low, last), max(abs(low), abs(high)))


def _normal(q: Question) -> Range:
    mean, deviation = 0.0, 1.0
    if "normal" in str(q.node.target) and isinstance(q.argument(2), (int, float)):
        mean, deviation = float(q.argument(1)), float(q.argument(2))
    return Range(reached=(mean - _FAR * deviation, mean + _FAR * deviation), size=abs(mean) + deviation)


def _positive(_: Question) -> Range:
    """Exponential numbers, which torch keeps above zero."""
    return Range(1e-10, INF, None, 1.0)


def _zero_or_one(_: Question) -> Range:
    return Range(0.0, 1.0, (0.0, 1.0), 1.0, integer=True)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("full", "full_like", "fill"), functools.partial(_full, 1)),
    "new_full": functools.partial(_full, 2),
    "scalar_tensor": functools.partial(_full, 0),
    **dict.fromkeys(("zeros", "zeros_like", "new_zeros", "zero"), lambda _: number(0.0)),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), lambda _: number(1.0)),
    **dict.fromkeys(("rand", "rand_like", "uniform"), _uniform),
    **dict.fromkeys(("randn", "randn_like", "normal", "normal_functional"), _normal),
    **dict.fromkeys(("bernoulli", "eye"), _zero_or_one),
    "exponential": _positive,
    "arange": _counted,
    "linspace": _spaced,
    "randint": lambda _: Range(0.0, INF, None, integer=True),
    "randperm": lambda _: Range(0.0, INF, (0.0, 1.0), integer=True),
}
