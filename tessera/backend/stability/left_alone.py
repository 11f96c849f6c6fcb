"""What a user has arranged that a rule would undo: their own guard, and a gate that vanishes with its argument.

log(1 - sigmoid(x) + 1e-7)           the 1e-7 is there for what the difference becomes
0.5 * x * (1 + tanh(0.8 * x))        GELU, as torch has it: where 1 + tanh cancels, x times it is next to nothing
(1 - exp(-ce)) ** 2 * ce             a focal loss: so is this, and 1 - p_t times cross_entropy_with_logits
1 - 0.999 ** step                    Adam's correction, of a count
(elu(q) + 1) @ k                     features, of which a product of matrices adds up many
where(x > -log(2), log(-expm1(x)), log1p(-exp(x)))    one thing in two spellings
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import fx

from tessera.backend.stability.algebra import Value, scaled
from tessera.backend.stability.spelling import call_of, example

REGULARISER = 1e-2  # a smaller number beside a difference is there to keep it from 0
DEEPEST = 8
_SUMS = ("matmul", "mm", "bmm", "einsum", "sum", "cumsum")
_SHOWN = ("transpose", "t", "permute", "unsqueeze")


def left_alone(node: fx.Node, value: Value) -> Iterator[fx.Node]:
    """The nodes that ``node``, which holds ``value``, shows to be meant as they are: differences, and gates."""
    call = call_of(node)
    if call is not None and call.name in ("add", "sub") and len(call.args) == 2:
        for one, other in (call.args, call.args[::-1]):
            if isinstance(one, fx.Node) and isinstance(other, float) and 0 < abs(other) < REGULARISER:
                yield one
    if value.op in ("product", "linear"):
        yield from _gates(value)
    if value.op == "linear" and len(value.args[1]) == 1:
        yield from _weights(node, value)


def spelled_twice(node: fx.Node, value: Value) -> Iterator[fx.Node]:
    """The branches of a ``where`` that are the same on paper: each is for the inputs that it is right for."""
    call = call_of(node)
    if call is not None and call.name == "where" and value.op == "where" and value.args[1] is value.args[2]:
        yield from (one for one in call.args[1:] if isinstance(one, fx.Node))


def _gates(value: Value) -> Iterator[fx.Node]:
    """``erf(x)`` of ``x * (1 + erf(x))``, and ``tanh(x + x^3)`` of ``x * (1 + tanh(x + x^3))``."""
    products = [value] if value.op == "product" else [term for term, _ in value.args[1] if term.op == "product"]
    for product in products:
        factors = [base for base, e in product.args[0] if e >= 1]
        for gate in factors:
            if (
                gate.node is not None
                and _is_modulation(gate)
                and all(one is gate or one.op == "leaf" for one in factors)
            ):
                yield gate.node
            if gate.op != "linear" or len(gate.args[1]) != 1:
                continue
            ((term, coefficient),) = gate.args[1]
            if term.node is None or (term.op != "exp" and coefficient != gate.args[0]):
                continue
            if term.op == "exp" and coefficient == -gate.args[0] and scaled(term.args[0])[1] in factors:
                yield term.node
            if term.op not in ("tanh", "erf"):
                continue
            inner = scaled(term.args[0])[1]
            if any(_contains(inner, one) and (term.op == "erf" or one is not inner) for one in factors):
                yield term.node


def _is_modulation(value: Value) -> bool:
    """Whether it is ``1 - (y p + (1 - y) (1 - p))``, as a focal loss multiplies a stable cross-entropy by."""
    return value.op == "linear" and value.args[0] == 1 and [c for _, c in value.args[1]] == [-1.0, -1.0]


def _weights(node: fx.Node, value: Value) -> Iterator[fx.Node]:
    """What is a weight: one less a number to the power of a count; ``elu(x) + 1`` that products of matrices add up."""
    constant, ((term, coefficient),) = value.args
    if term.node is not None and coefficient == -constant and _is_rate_of_count(term.node):
        yield node
        yield term.node
    if term.op == "elu" and coefficient == constant and node.users and all(map(_adds_up, node.users)):
        yield node


def _is_rate_of_count(node: fx.Node) -> bool:
    """Whether it is ``0.999 ** step``, where ``step`` is one number."""
    call = call_of(node)
    if call is None or call.name != "pow" or not isinstance(call.args[0], float):
        return False
    return 0 < call.args[0] < 1 and example(node).dim() == 0


def _adds_up(node: fx.Node) -> bool:
    call = call_of(node)
    shown = call is not None and call.name in _SHOWN and all(map(_adds_up, node.users))
    return shown or (call is not None and call.name in _SUMS)


def _contains(value: Value, part: Value, depth: int = 0) -> bool:
    return value is part or (depth < DEEPEST and any(_contains(one, part, depth + 1) for one in value.parts()))
