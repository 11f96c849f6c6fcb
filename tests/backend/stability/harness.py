"""Runs an expression as the stabilise pass rewrites it, one operation at a time, and measures how far off it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from torch import fx

from tessera.backend.passes.stabilise import STABILISE
from tessera.backend.rewrite import Captured
from tessera.backend.runner import run_before_autograd
from tests.backend.stability.exact import BITS, derivative, exact

ULP, ULP_OF_LOW = 64, 8  # a few of float32, as its inputs are hostile, and of less


class Rewritten:
    """An expression behind the pass: ``call`` runs what came of it, ``notes`` say what was done."""

    def __init__(self, function: Callable[..., Any], *, dynamic: bool | None = False) -> None:
        self.notes: list[str] = []
        self.graphs: list[fx.GraphModule] = []

        def backend(graph_module: fx.GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
            captured = Captured("test", graph_module, examples)
            (record,) = run_before_autograd(captured, [STABILISE])
            assert not record.note, record.note
            self.notes += [note for note in captured.notes if note.startswith("stabilised ")]  # others warn
            self.graphs.append(captured.graph_module)
            return captured.graph_module.forward

        torch.compiler.reset()
        self.call = torch.compile(function, backend=backend, fullgraph=True, dynamic=dynamic)


def value_and_gradients(function: Callable[..., Any], inputs: Sequence[torch.Tensor], trained: Sequence[int]) -> Any:
    """What ``function`` returns and the gradients of its weighted sum for the inputs that are ``trained``."""
    leaves = [one.clone().requires_grad_() if i in trained else one for i, one in enumerate(inputs)]
    returned = function(*leaves)
    gradients = (
        torch.autograd.grad((returned * weights(returned.shape)).sum(), [leaves[i] for i in trained]) if trained else ()
    )
    return returned.detach(), gradients


def weights(shape: Sequence[int]) -> torch.Tensor:
    """Of the results, so that the gradient of a softmax is not that of 1; short enough for every dtype."""
    return (1 + torch.arange(int(np.prod(shape))) % 7 / 8).reshape(tuple(shape))


def truth(expected: Callable[..., Any], inputs: Sequence[torch.Tensor], trained: Sequence[int]) -> Any:
    """The same with many digits."""
    with mpmath.workprec(BITS):
        given = [exact(one) for one in inputs]
        returned = expected(*given).data
        return returned, [derivative(expected, given, i, weights(returned.shape).numpy()) for i in trained]


def error(found: torch.Tensor, wanted: Any, dtype: torch.dtype) -> float:
    """The largest error in units in the last place of each element; infinite where only one of both is finite.

    Where the elements differ in size by much, one of a thousandth of the largest counts as such.
    """
    info = torch.finfo(dtype)
    wanted = np.asarray(wanted, dtype=object)
    if tuple(found.shape) != wanted.shape:
        return float("inf")
    finite = [abs(w) for w in wanted.flat if mpmath.isfinite(w)]
    floor = max(max(finite, default=mpmath.mpf(0)) / 1000, mpmath.mpf(info.tiny))
    worst = 0.0
    for got, want in zip(found.flatten().tolist(), wanted.flat, strict=True):
        if not mpmath.isfinite(want) or abs(want) > info.max:
            infinite = math.copysign(math.inf, want)
            same = math.isnan(got) if mpmath.isnan(want) else got == infinite
            worst = max(worst, 0.0 if same else float("inf"))
        elif not np.isfinite(got):
            return float("inf")
        else:
            worst = max(worst, float(abs(mpmath.mpf(got) - want) / (max(abs(want), floor) * info.eps)))
    return worst


def trained_of(row: Any, inputs: Sequence[torch.Tensor]) -> tuple[int, ...]:
    if not row.gradient:
        return ()
    return row.trained or tuple(i for i, one in enumerate(inputs) if one.is_floating_point())


def measured(row: Any, dtype: torch.dtype) -> tuple[float, float, list[str]]:
    """How far value and gradient of a row of the corpus are off, and what was rewritten."""
    inputs = row.tensors(dtype)
    trained = trained_of(row, inputs)
    rewritten = Rewritten(row.function)
    value, gradients = value_and_gradients(rewritten.call, inputs, trained)
    wanted, slopes = truth(row.expected or row.function, inputs, trained)
    of_gradients = max((error(g, w, dtype) for g, w in zip(gradients, slopes, strict=True)), default=0.0)
    return error(value, wanted, dtype), of_gradients, rewritten.notes


def assert_accurate(row: Any, dtype: torch.dtype) -> None:
    """Value and gradient of a row of the corpus are right to a few units in the last place."""
    value, gradient, notes = measured(row, dtype)
    assert max(value, gradient) <= (ULP if dtype is torch.float32 else ULP_OF_LOW), notes


def parameters(rows: Sequence[tuple[Any, torch.dtype]], missed: Mapping[str, str]) -> list[Any]:
    """Rows for ``pytest.mark.parametrize``; those that are named with a reason are expected to fail."""
    marks = {name: pytest.mark.xfail(reason=reason, strict=True) for name, reason in missed.items()}
    return [pytest.param(row, dtype, id=row.name, marks=marks.get(row.name, ())) for row, dtype in rows]


def touched(function: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> list[str]:
    """What was rewritten in a call whose gradient is wanted."""
    rewritten = Rewritten(function)
    rewritten.call(*(one.clone().requires_grad_() if one.is_floating_point() else one for one in inputs))
    return rewritten.notes
