"""The operator ``tessera::loop``: a turn run for every element of stacked tensors, forward or backward in time.

    carry, y[t] = turn(carry, x[t], shared)         t = 0, 1, ...  (or the other way round)

It is one node in the graph whatever the number of turns. Its derivative is a loop again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tessera.backend.loops.body import Body, Turn, like, part_of, trace_body
from tessera.backend.loops.compiled_loop import CompiledLoop
from tessera.backend.loops.derivative import Derivative, Stack, differentiate

_BODIES: dict[str, Body] = {}
COMPILED: dict[str, CompiledLoop] = {}


def run_loop(
    turn: Turn, init: Sequence[Tensor], xs: Sequence[Tensor], shared: Sequence[Tensor], *, reverse: bool = False
) -> tuple[list[Tensor], list[Tensor]]:
    """The last carries, and the results of all turns, stacked; for code that is being captured.

    Args:
        turn: ``turn(*carry, *x, *shared) -> [*carry, *y]``, a function of tensors without side effects.
        init: the first carries; a turn returns tensors of the same shapes and dtypes.
        xs: at least one tensor ``[turns, ...]``.
        shared: what every turn takes whole.
        reverse: the last element comes first. Results stand where their elements are.
    """
    body = trace_body(turn, [like(one) for one in init], [part_of(one) for one in xs], [like(one) for one in shared])
    operands = [*init, *xs, *shared]
    if torch.is_grad_enabled() and any(one.requires_grad for one in operands):
        first = len(init) + len(xs)
        derivative = differentiate(
            body,
            [i for i, one in enumerate(xs) if one.requires_grad],
            [i for i, one in enumerate(operands[first:]) if one.requires_grad],
        )
        results = list(_Differentiable.apply(derivative, len(body.ys), reverse, *operands))
    else:
        results = _loop(body, init, xs, shared, len(xs[0]), reverse)
    return results[: len(init)], results[len(init) :]


def _loop(
    body: Body, init: Sequence[Tensor], xs: Sequence[Tensor], shared: Sequence[Tensor], turns: int, reverse: bool
) -> list[Tensor]:
    _BODIES.setdefault(body.name, body)
    results: list[Tensor] = LOOP(body.name, list(init), list(xs), list(shared), turns, reverse)
    return results


class _Differentiable(torch.autograd.Function):
    """Autograd's view of a loop; captured, only the two loops and the sums behind the second remain."""

    @staticmethod
    def forward(ctx: Any, derivative: Derivative, results: int, reverse: bool, *operands: Tensor) -> tuple[Tensor, ...]:
        d, count = derivative, len(derivative.forward.carries)
        end = count + len(d.forward.xs)
        init, xs, shared = operands[:count], operands[count:end], operands[end:]
        turns = len(xs[0])
        found = _loop(d.forward, init, xs, shared, turns, reverse)
        ctx.derivative, ctx.turns, ctx.reverse = d, turns, reverse
        ctx.save_for_backward(*xs, *found[count:], *(shared[i] for i in d.uses))
        returned = found[: count + results]
        ctx.mark_non_differentiable(*(one for one in returned if not one.dtype.is_floating_point))
        return tuple(returned)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        d: Derivative = ctx.derivative
        count, all_xs, ys = len(d.forward.carries), len(d.forward.xs), len(d.forward.ys)
        saved = ctx.saved_tensors
        stacks = {Stack("x", i): one for i, one in enumerate(saved[:all_xs])}
        stacks |= {Stack("y", i): one for i, one in enumerate(saved[all_xs : all_xs + ys])}
        totals = [torch.zeros(one.shape, dtype=one.dtype, device=one.device) for one in d.backward.carries]
        init = [*(gradients[i] for i in d.carried), *totals[len(d.carried) :]]
        stacked = [*(gradients[count + i] for i in d.results), *(stacks[one] for one in d.stacks)]
        found = _loop(d.backward, init, stacked, saved[all_xs + ys :], ctx.turns, not ctx.reverse)
        behind = len(d.backward.carries)
        added = iter(found[len(d.carried) : behind])
        stacks |= {Stack("g", i): one for i, one in enumerate(found[behind:])}
        of: list[Tensor | None] = [None] * len(d.forward.operands)
        for at, i in enumerate(d.carried):
            of[i] = found[at]
        for at, i in enumerate(d.xs):
            of[count + i] = found[behind + at]
        for i, one in zip(d.shared, d.sums, strict=True):
            total = next(added) if one is None else one[1](*(stacks[place] for place in one[0]))
            of[count + all_xs + i] = total.to(d.forward.shared[i].dtype)
        return None, None, None, *of


def body_of(name: str) -> Body:
    """The turn of a loop, by what the operator calls it."""
    return _BODIES[name]


def keep_body(name: str, body: Body) -> None:
    """Make a turn known that was traced elsewhere, under the name that it has there."""
    _BODIES[name] = body


def compiled_loop(name: str) -> CompiledLoop:
    """The compiled form of the body with that name, which is compiled now if it was not before."""
    if name not in COMPILED:
        COMPILED[name] = CompiledLoop.of(_BODIES[name])
    return COMPILED[name]


_library = torch.library.Library("tessera", "FRAGMENT")
_library.define("loop(str body, Tensor[] init, Tensor[] xs, Tensor[] shared, SymInt turns, bool reverse) -> Tensor[]")


def _run(
    body: str, init: list[Tensor], xs: list[Tensor], shared: list[Tensor], turns: int, reverse: bool
) -> list[Tensor]:
    return compiled_loop(body)(init, xs, shared, turns, reverse=reverse)


def _meta(body: str, *operands: Any) -> list[Tensor]:
    known, turns = _BODIES[body], operands[3]
    shapes = [*((one.shape, one.dtype) for one in known.carries), *(((turns, *y.shape), y.dtype) for y in known.ys)]
    return [torch.empty(shape, dtype=dtype, device="meta") for shape, dtype in shapes]


_library.impl("loop", _run, "CPU")
_library.impl("loop", _meta, "Meta")
LOOP = torch.ops.tessera.loop.default
