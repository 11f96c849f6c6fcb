"""torch's random operators as functions of a key: what ``random="tessera"`` computes in their place.

One table for both modes: compiled, its functions are the operators' decompositions while forward and backward are
traced; eagerly, ``eager_mode`` calls them. A function that returns ``NotImplemented`` leaves torch's numbers: where a
generator is passed, or for a dtype that has no rule. Each draws one key from torch's generator, and numbers by Philox.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera.random.numbers import bernoulli, normal, uniform
from tessera.random.words import KEY_END, draw_key, random_words

Rule = Callable[..., Any]
aten = torch.ops.aten
_REAL = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def draws_key(operator: Any, args: Sequence[Any]) -> bool:
    """Whether it is ``draw_key`` that calls ``randint``: the one draw from torch's generator that stays."""
    if operator.overloadpacket is not aten.randint:
        return False
    numbers = [value for value in args if isinstance(value, int)]
    return numbers[-1:] == [KEY_END] and args[-1] == []


def _native_dropout(x: torch.Tensor, p: float, train: bool | None) -> Any:
    if train is False or p == 0:
        return x, torch.ones_like(x, dtype=torch.bool)
    if p == 1:
        return x * 0.0, torch.zeros_like(x, dtype=torch.bool)
    kept = bernoulli(1 - p, x.shape, device=x.device)
    return x * (kept.to(x.dtype) / (1 - p)), kept


def _bernoulli(x: torch.Tensor, p: float = 0.5, *, generator: Any = None) -> Any:
    return NotImplemented if generator is not None else bernoulli(p, x.shape, device=x.device).to(x.dtype)


def _bernoulli_of_tensor(x: torch.Tensor, p: torch.Tensor, *, generator: Any = None) -> Any:
    if generator is not None:
        return NotImplemented
    words = random_words(draw_key(x.device), x.shape)
    return (words.double() < p.double() * 2.0**32).to(x.dtype)


def _bernoulli_of_itself(x: torch.Tensor, *, generator: Any = None) -> Any:
    return _bernoulli_of_tensor(x, x, generator=generator)


def _uniform(x: torch.Tensor, low: float = 0.0, high: float = 1.0, *, generator: Any = None) -> Any:
    if generator is not None or x.dtype not in _REAL:
        return NotImplemented
    return uniform(draw_key(x.device), x.shape, x.dtype) * (high - low) + low


def _normal(x: torch.Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
    if generator is not None or x.dtype not in _REAL:
        return NotImplemented
    return (normal(draw_key(x.device), x.shape) * std + mean).to(x.dtype)


def _normal_of_tensors(mean: Any, std: Any = 1.0, *, generator: Any = None) -> Any:
    """``torch.normal``: one of the two, or both, are tensors."""
    given = [value for value in (mean, std) if isinstance(value, torch.Tensor)]
    dtype = torch.result_type(*given) if len(given) == 2 else given[0].dtype
    if generator is not None or dtype not in _REAL:
        return NotImplemented
    shape = torch.broadcast_shapes(*(value.shape for value in given))
    return (normal(draw_key(given[0].device), shape) * std + mean).to(dtype)


def _of_uniform(value: Callable[..., torch.Tensor], *defaults: float) -> Rule:
    """A distribution by its inverse: ``value(-log(1 - u), *parameters)``, computed in float64 and rounded once."""

    def rule(x: torch.Tensor, *parameters: float, generator: Any = None) -> Any:
        if generator is not None or x.dtype not in _REAL:
            return NotImplemented
        drawn = uniform(draw_key(x.device), x.shape, torch.float64)
        return value(drawn, *parameters, *defaults[len(parameters) :]).to(x.dtype)

    return rule


def _log_normal(x: torch.Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
    if generator is not None or x.dtype not in _REAL:
        return NotImplemented
    return torch.exp(normal(draw_key(x.device), x.shape) * std + mean).to(x.dtype)


def _whole(
    shape: Sequence[int], low: int, high: int, dtype: torch.dtype | None, device: torch.device | None
) -> torch.Tensor:
    """Whole numbers from ``low`` to ``high`` - 1, of 63 random bits."""
    key = draw_key(device)
    bits = (random_words(key, shape) << 31) | (random_words(key, shape, 1) >> 1)
    return (bits % (high - low) + low).to(dtype or torch.int64)


def _randint(*given: Any, generator: Any = None, dtype: Any = None, device: Any = None, **_: Any) -> Any:
    (low, high), shape = ((0, given[0]) if len(given) == 2 else given[:2]), given[-1]
    if generator is not None or draws_key(aten.randint.low, (low, high, list(shape))) or not 0 < high - low < 2**63:
        return NotImplemented
    return _whole(shape, low, high, dtype, device)


def _randint_like(x: torch.Tensor, *given: int, dtype: Any = None, device: Any = None, **_: Any) -> Any:
    low, high = (0, *given) if len(given) == 1 else given
    if not 0 < high - low < 2**63:
        return NotImplemented
    return _as_laid_out(_whole(x.shape, low, high, dtype or x.dtype, device or x.device), x)


def _random(x: torch.Tensor, *given: int | None, generator: Any = None) -> Any:
    """``x.random_()``: up to a number, from one to another, or over all that the dtype counts exactly."""
    low, high = 0, None
    if len(given) == 1:
        high = given[0]
    elif given:
        low, high = given[0] or 0, given[1]
    if high is None and x.dtype in _REAL:
        high = 2 ** _DIGITS[x.dtype] + 1
    elif high is None:
        high = 2 if x.dtype is torch.bool else torch.iinfo(x.dtype).max + (x.dtype is not torch.int64)
    if generator is not None or not 0 < high - low < 2**63:
        return NotImplemented
    return _whole(x.shape, low, high, x.dtype, x.device)


_DIGITS = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}


def _made(*, normally: bool) -> Rule:
    """A function of a shape: ``torch.rand`` or ``torch.randn``."""

    def rule(shape: Any, *, generator: Any = None, dtype: Any = None, device: Any = None, **more: Any) -> Any:
        dtype = dtype or torch.get_default_dtype()
        if generator is not None or dtype not in _REAL or more.get("names") is not None:
            return NotImplemented
        key = draw_key(device)
        return normal(key, shape).to(dtype) if normally else uniform(key, shape, dtype)

    return rule


def _made_like(*, normally: bool) -> Rule:
    made = _made(normally=normally)

    def rule(x: torch.Tensor, *, dtype: Any = None, device: Any = None, generator: Any = None, **_: Any) -> Any:
        result = made(x.shape, dtype=dtype or x.dtype, device=device or x.device, generator=generator)
        return result if result is NotImplemented else _as_laid_out(result, x)

    return rule


def _randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None, **_: Any) -> Any:
    if generator is not None:
        return NotImplemented
    order = torch.argsort(_whole((n,), 0, 2**63 - 1, None, device), stable=True)
    return order.to(dtype or torch.int64)


def _as_laid_out(value: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A new tensor with the order of strides of ``x``, as ``torch.rand_like`` keeps it."""
    if x.is_contiguous():
        return value
    strides = x.stride()
    order = sorted(range(x.dim()), key=lambda dim: -strides[dim])
    return value.permute(order).contiguous().permute([order.index(dim) for dim in range(x.dim())])


_EXPONENTIAL = _of_uniform(lambda u, rate: -torch.log1p(-u) / rate, 1.0)
_CAUCHY = _of_uniform(lambda u, median, scale: median + scale * torch.tan(math.pi * (u - 0.5)), 0.0, 1.0)
_GEOMETRIC = _of_uniform(lambda u, p: torch.clamp(torch.ceil(torch.log1p(-u) / math.log1p(-p)), min=1))

OPERATORS: dict[Any, Rule] = {
    aten.native_dropout.default: _native_dropout,
    aten.bernoulli.default: _bernoulli_of_itself,
    aten.bernoulli.p: _bernoulli,
    aten.bernoulli.Tensor: _bernoulli_of_tensor,
    aten.uniform.default: _uniform,
    aten.normal_functional.default: _normal,
    aten.normal.float_Tensor: _normal_of_tensors,
    aten.normal.Tensor_float: _normal_of_tensors,
    aten.normal.Tensor_Tensor: _normal_of_tensors,
    aten.exponential.default: _EXPONENTIAL,
    aten.cauchy.default: _CAUCHY,
    aten.geometric.default: _GEOMETRIC,
    aten.log_normal.default: _log_normal,
    aten.random.default: _random,
    aten.random.to: _random,
    getattr(aten.random, "from"): _random,
    aten.rand.default: _made(normally=False),
    aten.rand.generator: _made(normally=False),
    aten.randn.default: _made(normally=True),
    aten.randn.generator: _made(normally=True),
    aten.rand_like.default: _made_like(normally=False),
    aten.randn_like.default: _made_like(normally=True),
    aten.randint.default: _randint,
    aten.randint.low: _randint,
    aten.randint_like.default: _randint_like,
    aten.randint_like.low_dtype: _randint_like,
    aten.randperm.default: _randperm,
}
# Operators that write into their first argument, which eager calls; a trace has those above in their place.
IN_PLACE: dict[Any, Rule] = {
    aten.bernoulli_.float: _bernoulli,
    aten.bernoulli_.Tensor: _bernoulli_of_tensor,
    aten.uniform_.default: _uniform,
    aten.normal_.default: _normal,
    aten.exponential_.default: _EXPONENTIAL,
    aten.cauchy_.default: _CAUCHY,
    aten.geometric_.default: _GEOMETRIC,
    aten.log_normal_.default: _log_normal,
    aten.random_.default: _random,
    aten.random_.to: _random,
    getattr(aten.random_, "from"): _random,
}
