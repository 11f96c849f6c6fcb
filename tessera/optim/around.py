"""Transformations that act on the whole chain they stand in, wherever they stand in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

from tessera.optim.transformation import GradientTransformation, identity

_NOTHING = identity()
Wrapper = Callable[[GradientTransformation], GradientTransformation]


@dataclass(frozen=True)
class Around(GradientTransformation):
    """What wrappers make of a transformation; `chain` takes it apart and puts the wrappers around the whole chain.

    So `chain(adam(1e-3), accumulate(4))` holds Adam's moments still while gradients are gathered, as one means it:
    Adam alone would see nothing but a gradient of zero.

    Args:
        inner: what is wrapped.
        wrappers: the first is the outermost.
    """

    inner: GradientTransformation = _NOTHING
    wrappers: Sequence[Wrapper] = ()

    @classmethod
    def of(cls, inner: GradientTransformation, wrappers: Sequence[Wrapper]) -> Self:
        """``inner`` with the wrappers around it."""
        outer = inner
        for wrap in reversed(wrappers):
            outer = wrap(outer)
        values = {field.name: getattr(outer, field.name) for field in fields(GradientTransformation) if field.init}
        return cls(**values, inner=inner, wrappers=tuple(wrappers))
