"""Two runs side by side: the first operation whose values differ by more than rounding explains."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.debug.closeness import Difference, difference, eps_of
from tessera.debug.operation import Operation
from tessera.debug.recording import Run, Step, recorded
from tessera.errors import SettingError, SourceLine

_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common; ``print`` it. True where they differ.

    Attributes:
        first: the operation where they part, that of the first run where both have one; None where they do not.
        second: its counterpart in the second run, if there is one.
        difference: of their values.
        why: in words.
        compared: how many operations were.
        results: the differences of what they returned.
    """

    first: Operation | None
    second: Operation | None
    difference: Difference | None
    why: str
    compared: int
    results: tuple[Difference, ...]

    def __bool__(self) -> bool:
        return self.first is not None

    @property
    def where(self) -> SourceLine | None:
        """The user's line where they part."""
        return None if self.first is None else self.first.place.where

    def __str__(self) -> str:
        if self.first is None:
            return f"No difference beyond rounding in {self.compared:,} operations."
        lines = [f"The runs part at {self.first.title}: {self.first.place.expression}", f"  at {self.first.place}"]
        if self.difference is not None:
            off, allowed = self.difference.off, self.difference.allowed
            lines.append(f"  {self.difference}: off by {off:.3g}, and rounding explains {allowed:.3g}")
        return "\n".join([*lines, *([f"  {self.why}"] if self.why else [])])


def diff(a: Callable[..., Any], b: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Comparison:
    """Run ``a`` and ``b`` on the same values, forward and backward, and name the first operation that differs.

    Both are run operation by operation, ``a`` in double precision as well. What rounding in the precision of ``b``
    explains is no difference: how far ``a`` is from its double, times the ratio of the two precisions.

    Args:
        a: a function or module.
        b: another one, compiled or not: the same model in bf16 (``copy.deepcopy(model).bfloat16()``), a rewritten
            function, ``tessera.compile(model)``. Or ``"bf16"``, ``"fp16"``: ``a`` itself under autocast.
        args, kwargs: what both are called with, copied for each. Floats are cast where ``b`` is a module whose
            parameters are all of another dtype than those of ``a``.

    Returns:
        A ``Comparison``. Modules, gradients and the random stream are as before.

    Raises:
        SettingError: ``b`` is no callable and no precision.

    Example:
        >>> import torch, tessera
        >>> def stable(x):
        ...     return torch.log_softmax(x, -1)
        >>> def naive(x):
        ...     e = x.exp()
        ...     return torch.log(e / e.sum(-1, keepdim=True))
        >>> bool(tessera.debug.diff(stable, stable, torch.randn(2, 3)))
        False
    """
    if isinstance(b, str) and b in _PRECISIONS:
        b = _lowered(a, _PRECISIONS[b])
    if not callable(a) or not callable(b):
        raise SettingError(
            f"diff({a!r}, {b!r}, ...) was called.",
            'It takes two functions or modules, or one and "bf16" or "fp16".',
            "Write tessera.debug.diff(model, tessera.compile(model), x).",
        )
    if (own := getattr(b, "difference_from_eager", None)) is not None:
        return own(a, args, kwargs)
    first = recorded(a, args, kwargs)
    dtype = _other_dtype(a, b)
    cast = (args, kwargs) if dtype is None else torch_internals.on_leaves(lambda v: _cast(v, dtype), (args, kwargs))
    return compared(first, recorded(b, *cast))


def compared(first: Run, second: Run) -> Comparison:
    """The first pair of steps that differs by more than is explained, or what stands alone just before it."""
    pairs, same_code = _paired(first.steps, second.steps)
    precision, last = 0.0, (-1, -1)
    results = _results(first, second)
    agree = all(result.is_explained for result in results)
    for i, j in pairs if same_code or not agree else ():
        one, other = first.steps[i], second.steps[j]
        precision = max(precision, *(eps_of(value) for value in other.values))
        found = _worst(one, other, precision)
        if not found.is_explained:
            alone = second.steps[last[1] + 1 : j] or first.steps[last[0] + 1 : i]
            if alone:
                run = "second" if second.steps[last[1] + 1 : j] else "first"
                why = f"It is in the {run} run alone, before {one.operation.name} at {one.operation.place}."
                return Comparison(alone[0].operation, None, found, why, len(pairs), results)
            return Comparison(one.operation, other.operation, found, _casts(one, other), len(pairs), results)
        last = i, j
    if not agree:
        alone = second.steps[last[1] + 1 :] or first.steps[last[0] + 1 :] or second.steps or first.steps
        why = "What they return differs, and all that both compute before is the same."
        worst = max(results, key=lambda result: result.off - result.allowed)
        return Comparison(alone[0].operation if alone else None, None, worst, why, len(pairs), results)
    return Comparison(None, None, None, "", len(pairs), results)


def _results(first: Run, second: Run) -> tuple[Difference, ...]:
    precision = max((eps_of(value) for step in second.steps for value in step.values), default=0.0)
    three = zip(first.results, second.results, first.exact, strict=False)
    return tuple(difference(value, other, exact, precision) for value, other, exact in three)


def _worst(one: Step, other: Step, precision: float) -> Difference:
    three = zip(one.values, other.values, one.exact, strict=False)
    found = [difference(value, its, exact, precision) for value, its, exact in three]
    return max(found, key=lambda each: each.off - each.allowed)


def _casts(one: Step, other: Step) -> str:
    here, there = one.values[0].dtype, other.values[0].dtype
    return "" if here == there else f"The first run computes it in {here}, the second in {there}."


def _paired(first: Sequence[Step], second: Sequence[Step]) -> tuple[list[tuple[int, int]], bool]:
    """Which steps stand for each other: by line, layer and operator, or in other code by operators and shapes.

    Also whether the code is the same.
    """
    by_place = _matched([_key(s) for s in first], [_key(s) for s in second])
    if 2 * len(by_place) >= min(len(first), len(second)):
        return by_place, True
    return _matched([_kind(s) for s in first], [_kind(s) for s in second]), False


def _matched(first: Sequence[Any], second: Sequence[Any]) -> list[tuple[int, int]]:
    blocks = difflib.SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]


def _key(step: Step) -> tuple[Any, ...]:
    place = step.operation.place
    where = (place.where.file, place.where.line) if place.where else ()
    return (*_name(step), *where)


def _kind(step: Step) -> tuple[Any, ...]:
    name, phase, _ = _name(step)
    return (name, phase, *(value.shape for value in step.values))


def _name(step: Step) -> tuple[str, ...]:
    return step.operation.name.rstrip("_"), step.operation.phase, step.operation.place.layer


def _lowered(function: Any, dtype: torch.dtype) -> Callable[..., Any]:
    def lowered(*args: Any, **kwargs: Any) -> Any:
        devices = {t.device.type for t in torch_internals.tensors_in([args, kwargs])} or {"cpu"}
        with torch.autocast(devices.pop(), dtype=dtype):
            return function(*args, **kwargs)

    return lowered


def _other_dtype(a: Any, b: Any) -> torch.dtype | None:
    """The one dtype of all parameters of ``b``, where those of ``a`` have another."""
    if not isinstance(a, torch.nn.Module) or not isinstance(b, torch.nn.Module):
        return None
    own, other = ({p.dtype for p in m.parameters() if p.is_floating_point()} for m in (a, b))
    return next(iter(other)) if len(other) == 1 and own != other else None


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
