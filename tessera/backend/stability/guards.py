"""The gradient of what ``where`` does not choose: 0 times infinity, unless it is computed of something harmless.

    before   y = where(x > 0, log(x), 0)                       gradient at x = 0: 0 * (1 / 0), NaN
    after    y = where(x > 0, log(where(x > 0, x, 1)), 0)      gradient at x = 0: 0

Every operation of a branch whose value or derivative can be infinite gets an operand that is chosen by the same
condition; what is chosen in the end keeps its bits. The branch is followed through elementwise operations.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.stability.algebra import Value
from tessera.backend.stability.facts import is_nonnegative, lower_bound, upper_bound
from tessera.backend.stability.reading import Reader
from tessera.backend.stability.spelling import Call, call_of, example
from tessera.backend.stability.writing import CannotWrite, Writer

LARGEST_POWER = 4
DEEPEST = 24  # operations between a singular one and the ``where``

# The operand that may not be just anything, and a number that it may be.
_SINGULAR = {
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "lgamma", "digamma"), (0, 1.0)),
    **dict.fromkeys(
        ("exp", "exp2", "expm1", "sinh", "cosh", "log1p", "asin", "acos", "atanh", "erfinv", "tan"), (0, 0.0)
    ),
    **dict.fromkeys(("arcsin", "arccos", "square"), (0, 0.0)),
    **dict.fromkeys(("div", "xlogy", "atan2"), (1, 1.0)),
    "acosh": (0, 2.0),
    "arccosh": (0, 2.0),
    "logit": (0, 0.5),
    "xlog1py": (1, 0.0),
}
_ORDERS = {  # of what is infinite at 0: 1 / x is of the first; what is divided may be large itself
    **dict.fromkeys(("log", "log2", "log10", "log1p", "sqrt", "lgamma"), 1),
    **dict.fromkeys(("rsqrt", "reciprocal", "digamma", "xlogy", "xlog1py", "atan2"), 2),
    "div": 3,
}
_ELEMENTWISE = {
    *_SINGULAR,
    *(
        "add",
        "sub",
        "mul",
        "pow",
        "neg",
        "abs",
        "sigmoid",
        "tanh",
        "sin",
        "cos",
        "erf",
        "erfc",
        "relu",
        "clamp",
        "where",
    ),
    *(
        "maximum",
        "minimum",
        "logsigmoid",
        "softplus",
        "to",
        "float",
        "double",
        "half",
        "bfloat16",
        "clamp_min",
        "asinh",
    ),
    *(
        "clamp_max",
        "hypot",
        "logaddexp",
        "atan",
        "arctan",
        "sign",
        "masked_fill",
        "addcmul",
        "gelu",
        "silu",
        "leaky_relu",
    ),
}


def guard(reader: Reader, node: fx.Node, delicate: set[fx.Node]) -> fx.Node | None:
    """A ``where`` that stands in for ``node``, written before it; None where there is nothing to guard."""
    call = call_of(node)
    if call is None or call.writes or call.kwargs or len(call.args) != 3 or not torch.is_grad_enabled():
        return None
    if call.name == "where":
        condition, chosen, other = call.args
    elif call.name == "masked_fill":
        other, condition, chosen = call.args
    else:
        return None
    if not isinstance(condition, fx.Node) or not is_chosen(node):
        return None
    branches = _Guard(reader, node, condition, delicate)
    try:
        new = [branches.guarded(branch, holds=holds) for branch, holds in ((chosen, True), (other, False))]
    except CannotWrite:
        branches.writer.undo()
        return None
    if new == [chosen, other]:
        branches.writer.undo()
        return None
    return branches.writer.call(torch.where, condition, *new)


def is_chosen(node: fx.Node) -> bool:
    """Whether ``node`` chooses between values that have a gradient."""
    call = call_of(node)
    return call is not None and call.name in ("where", "masked_fill") and _is_trained(node)


def _is_trained(node: fx.Node) -> bool:
    value = example(node)
    return isinstance(value, Tensor) and value.requires_grad


class _Guard:
    def __init__(self, reader: Reader, node: fx.Node, condition: fx.Node, delicate: set[fx.Node]) -> None:
        self.writer = Writer(node.graph, node, lambda _: None)
        self._reader, self._condition, self._delicate = reader, condition, delicate
        self._known: dict[tuple[fx.Node, bool], fx.Node] = {}

    def guarded(self, branch: Any, *, holds: bool, depth: int = 0) -> Any:
        """``branch`` with harmless operands where it is not chosen; itself where it needs none."""
        if not isinstance(branch, fx.Node) or not _is_trained(branch) or depth > DEEPEST:
            return branch
        if (branch, holds) not in self._known:
            self._known[branch, holds] = self._guarded(branch, holds=holds, depth=depth)
        return self._known[branch, holds]

    def _guarded(self, node: fx.Node, *, holds: bool, depth: int) -> fx.Node:
        call = call_of(node)
        if call is None or call.writes or call.name not in _ELEMENTWISE or self._chooses_already(call):
            return node
        if node in self._delicate:
            raise CannotWrite("it is computed for its rounding errors")
        if any(self._reader.is_written_later(n) for n in (node, *node.all_input_nodes)):
            return node
        if call.args != tuple(node.args)[: len(call.args)]:  # reversed, or the operand is named
            spelled = tuple(node.args)
            new = tuple(self.guarded(arg, holds=holds, depth=depth + 1) for arg in spelled)
            at, harmless = (0, 1.0) if call.name == "div" else (-1, 0.0)
        else:
            new = tuple(self.guarded(arg, holds=holds, depth=depth + 1) for arg in call.args)
            at, harmless = self._singular(call)
        if 0 <= at < len(new) and isinstance(new[at], fx.Node) and self._needs(new[at], node):
            pair = (new[at], harmless) if holds else (harmless, new[at])
            chosen = self.writer.call(torch.where, self._condition, *pair)
            if not torch_internals.same_shape(example(chosen).shape, example(new[at]).shape):
                raise CannotWrite("the condition has another shape")
            new = (*new[:at], chosen, *new[at + 1 :])
        if new == tuple(node.args)[: len(new)]:
            return node
        return self.writer.again(node, (*new, *node.args[len(new) :]))

    def _singular(self, call: Call) -> tuple[int, float]:
        if _is_polynomial(call) and not _asks_what_is_finite(self._condition):
            return -1, 0.0  # a Huber loss, a kernel: their derivative is finite with their operand
        if call.name != "pow":
            return _SINGULAR.get(call.name, (-1, 0.0))
        base, exponent = call.args[:2]
        if not isinstance(base, fx.Node):
            return 1, 0.0
        whole = isinstance(exponent, int | float) and float(exponent).is_integer() and exponent >= 1
        return (0, 0.0) if whole else (0, 1.0)

    def _needs(self, operand: fx.Node, node: fx.Node) -> bool:
        """Whether the operand can be something that ``node`` is singular for."""
        call, value = call_of(operand), self._reader.values.get(operand)
        if call is not None and self._chooses_already(call):
            return False
        name = getattr(call_of(node), "name", "")
        if not _is_trained(operand) and name != "div":  # what is divided has a gradient too
            return False
        if value is None:
            return True
        if name.startswith("exp"):
            largest = math.log(torch.finfo(example(operand).dtype).max)
            return upper_bound(value) >= largest and not is_nonnegative(self._reader.algebra.negative(value))
        return not self._is_clamped(operand, value, node) and value.op not in ("exp", "sigmoid", "softmax", "cosh")

    def _is_clamped(self, operand: fx.Node, value: Value, node: fx.Node) -> bool:
        """Whether the user keeps it so far from 0 that neither ``node`` nor its derivative is infinite."""
        call = call_of(node)
        if call is None or _asks_what_is_finite(self._condition):
            return False
        exponent = call.get(1, "exponent") if call.name == "pow" else None
        order = 1 + abs(exponent) if isinstance(exponent, int | float) else _ORDERS.get(call.name)
        return order is not None and lower_bound(value) >= torch.finfo(example(operand).dtype).tiny ** (1 / order)

    def _chooses_already(self, call: Call) -> bool:
        """Whether it is a ``where`` by the same condition."""
        place = {"where": 0, "masked_fill": 1}.get(call.name)
        if place is None or len(call.args) != 3:
            return False
        other = call.args[place]
        values = self._reader.values
        return (
            other is self._condition
            or (other in values and values[other] is values.get(self._condition))
            or (isinstance(other, fx.Node) and _same_call(other, self._condition))
        )


def _is_polynomial(call: Call) -> bool:
    return call.name == "square" or (
        call.name == "pow" and len(call.args) == 2 and call.args[1] in range(1, LARGEST_POWER + 1)
    )


def _asks_what_is_finite(condition: fx.Node, depth: int = 0) -> bool:
    name = getattr(call_of(condition), "name", "")
    return name in ("isfinite", "isinf", "isnan") or (
        depth < 3 and any(_asks_what_is_finite(one, depth + 1) for one in condition.all_input_nodes)
    )


def _same_call(a: fx.Node, b: fx.Node) -> bool:
    return a.op == b.op and a.target == b.target and a.args == b.args and a.kwargs == b.kwargs and a.op != "placeholder"
