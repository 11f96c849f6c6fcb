"""What a user has arranged that a rule would undo: their own guard, and a gate that vanishes with its argument.

log(1 - sigmoid(x) + 1e-7)           the 1e-7 is there for what the difference becomes
0.5 * x * (1 + tanh(0.8 * x))        GELU, as torch has it: where 1 + tanh cancels, x times it is next to nothing
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import fx

from tessera.backend.stability.algebra import Value, scaled
from tessera.backend.stability.spelling import call_of

REGULARISER = 1e-2  # a smaller number beside a difference is there to keep it from 0
DEEPEST = 8


def left_alone(node: fx.Node, value: Value) -> Iterator[fx.Node]:
    """The nodes that ``node``, which holds ``value``, shows to be meant as they are: differences, and gates."""
    call = call_of(node)
    if call is not None and call.name in ("add", "sub") and len(call.args) == 2:
        for one, other in (call.args, call.args[::-1]):
            if isinstance(one, fx.Node) and isinstance(other, float) and 0 < abs(other) < REGULARISER:
                yield one
    if value.op in ("product", "linear"):
        yield from _gates(value)


def _gates(value: Value) -> Iterator[fx.Node]:
    """``erf(x)`` of ``x * (1 + erf(x))``, and ``tanh(x + x^3)`` of ``x * (1 + tanh(x + x^3))``."""
    products = [value] if value.op == "product" else [term for term, _ in value.args[1] if term.op == "product"]
    for product in products:
        factors = [base for base, e in product.args[0] if e == 1]
        for gate in factors:
            if gate.op != "linear" or len(gate.args[1]) != 1:
                continue
            ((term, coefficient),) = gate.args[1]
            if term.op not in ("tanh", "erf") or coefficient != gate.args[0] or term.node is None:
                continue
            inner = scaled(term.args[0])[1]
            if any(_contains(inner, one) and (term.op == "erf" or one is not inner) for one in factors):
                yield term.node


def _contains(value: Value, part: Value, depth: int = 0) -> bool:
    return value is part or (depth < DEEPEST and any(_contains(one, part, depth + 1) for one in value.parts()))
