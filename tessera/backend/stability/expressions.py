"""What a result of a captured graph is made of, through operations on elements and reductions.

An expression ends where it is given to anything else (a product of matrices, a layer, a result) and begins at what
comes from anything else. What decides (comparisons) is part of it, so that it can be evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from tessera import torch_internals
from tessera.backend.stability.bounds import bounds
from tessera.backend.stability.left_alone import REGULARISER
from tessera.backend.stability.necks import LONG, behind_necks
from tessera.backend.stability.reading import Reader, changes_mode
from tessera.backend.stability.spelling import call_of, example
from tessera.backend.stability.suspects import cancels_products, compares_products, is_small_product, leaves_range
from tessera.program import is_marked_as_stable

LARGEST = 160  # operations in an expression; what is left of a larger one has inputs that belong together
SHORT = 4  # roundings, of what is looked at by itself
MANY = 8  # numbers that are added up one after the other

_MOVES = frozenset(
    {
        *("neg", "negative", "positive", "abs", "relu", "max", "min", "maximum", "minimum", "amax"),
        *("amin", "fmax", "fmin", "clamp", "clamp_min", "clamp_max", "where", "masked_fill", "getitem"),
        *("getattr", "unsqueeze", "squeeze", "expand", "expand_as", "transpose", "t", "permute"),
        *("movedim", "view", "view_as", "reshape", "flatten", "unflatten", "flip", "roll", "stack"),
        *("cat", "concat", "gather", "index_select", "take_along_dim", "narrow", "select", "chunk"),
        *("split", "unbind", "diagonal", "diag", "tril", "triu", "clone", "contiguous", "detach"),
        *("broadcast_to", "repeat", "float", "to", "type_as", "nan_to_num"),
    }
)
_ROUNDED = frozenset(
    {
        *("add", "sub", "mul", "div", "reciprocal", "sqrt", "rsqrt", "square", "pow", "exp", "exp2"),
        *("expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
        *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "sigmoid", "logsigmoid"),
        *("softplus", "silu", "mish", "elu", "logaddexp", "hypot", "xlogy", "xlog1py", "logit", "lerp"),
        *("addcmul", "addcdiv", "lgamma", "digamma", "sinc", "entr", "i0", "ndtr", "sum", "mean", "prod"),
        *("var", "std", "norm", "vector_norm", "linalg_norm", "logsumexp", "softmax", "log_softmax"),
        *("softmin", "cumsum", "cumprod", "logcumsumexp", "dot", "cosine_similarity"),
        *("index_add", "scatter_add"),
    }
)
_VIEWS = frozenset(
    {
        *("view", "reshape", "unflatten", "flatten", "permute", "transpose", "t", "unsqueeze", "squeeze"),
        *("contiguous", "unbind", "chunk", "split", "getitem"),
    }
)
_DECIDES = frozenset(
    {
        *("gt", "ge", "lt", "le", "eq", "ne", "logical_and", "logical_or", "logical_not", "and", "or"),
        *("invert", "isnan", "isinf", "isfinite", "floor", "ceil", "round", "trunc", "sign"),
        *("xor", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "isclose"),
        *("greater_equal", "less_equal", "not_equal", "signbit", "heaviside"),
        *("zeros_like", "ones_like", "full_like", "argmax", "argmin", "all", "any", "scatter"),
    }
)
_KEEPS_DIGITS = frozenset(
    {"add", "mul", "div", "reciprocal", "sqrt", "rsqrt", "square", "pow", "sum", "mean", "prod", "norm", "vector_norm"}
)
_ELEMENTWISE = _ROUNDED | _MOVES
_WHOLE = frozenset({"floor", "ceil", "round", "trunc"})
_OWN_GRADIENT = frozenset({"softmax", "softmin", "log_softmax"})  # torch's own, and a layer by itself
_GATES = frozenset({"sigmoid", "tanh", "softplus", "silu"})
_LOGARITHMS = frozenset({"softplus", "logsigmoid", "logsumexp", "log_softmax", "logaddexp"})
_MAXIMA = frozenset({"amax", "max", "maximum"})
_LINEAR = frozenset({"add", "sub", "mul", "div", *_MOVES})


@dataclass(frozen=True)
class Expression:
    """A result, the operations that it is made by in their order, and what they are made of."""

    result: fx.Node
    nodes: tuple[fx.Node, ...]
    leaves: tuple[fx.Node, ...]
    mode: int  # how often gradients or autocast were switched before it
    dtype: torch.dtype  # that the user computes it in

    def is_trained(self) -> bool:
        return bool(example(self.result).requires_grad)

    def structure(self, marked: AbstractSet[fx.Node] = frozenset()) -> str:
        """The same for expressions that compute the same, in which the same are ``marked``."""
        places = {node: f"%{at}" for at, node in enumerate((*self.leaves, *self.nodes))}
        leaves = [
            (tuple(str(size) for size in v.shape), v.dtype, v.requires_grad, isinstance(v, nn.Parameter), bounds(leaf))
            if isinstance(v, Tensor)
            else str(v)
            for leaf, v in zip(self.leaves, map(example, self.leaves), strict=True)
        ]
        calls = [
            (
                str(n.target),
                str(fx.node.map_arg((n.args, n.kwargs), lambda one: places[one])),
                is_marked_as_stable(n),
                n in marked,
            )
            for n in self.nodes
        ]
        return str((leaves, calls))


def expressions(
    graph: fx.Graph,
    reader: Reader,
    meant: set[fx.Node],
    dtype: torch.dtype = torch.float32,
    too_large: list[fx.Node] | None = None,
    *,
    short: bool = False,
) -> Iterator[Expression]:
    """Every expression of a graph in ``dtype`` that rounds more than once; ``reader`` has read it.

    In float16 and bfloat16, what a rule computes in float32 in the middle of it is part of it. The results of those
    that are ``too_large`` are told. In ``short``, each begins anew at what others give to something else already, so
    that those of a network's layers are alike.
    """
    parts = _Parts(graph, reader, meant, dtype, short=short)
    parts.too_large = too_large if too_large is not None else []
    for node in graph.nodes:
        if parts.is_computed(node) and is_of(node, dtype) and not all(parts.goes_on(node, user) for user in node.users):
            found = parts.behind(node)
            if found is not None:
                yield found


def is_suspect(nodes: tuple[fx.Node, ...]) -> bool:
    """Whether it is wrong for some inputs, though it is made of sums and products alone."""
    return cancels_products(nodes) or can_leave_range(nodes)


def can_leave_range(nodes: tuple[fx.Node, ...]) -> bool:
    """Whether something in the middle can overflow, and the result does not."""
    return leaves_range(nodes, _ROUNDED)


def is_kept(node: fx.Node) -> bool:
    """Whether it decides something, and so is not to be computed otherwise than it was."""
    return _name(node) in _DECIDES


def is_conversion(node: fx.Node) -> bool:
    """Whether it only says which dtype it is."""
    return _name(node) in ("float", "to", "type_as")


def is_logarithmic(nodes: Iterable[fx.Node]) -> bool:
    """Whether its user has spelled logarithms stably in it, also of exponentials less their maximum."""
    names = {_name(node) for node in nodes if not is_marked_as_stable(node)}
    return bool(names & _LOGARITHMS) or (bool(names & _MAXIMA) and {"exp", "log"} <= names)


def is_mixture(nodes: Iterable[fx.Node]) -> bool:
    """Whether it is a sum of products of what is given and of gates, as a recurrent cell is."""
    return {_name(node) for node in nodes if is_rounded(node)} <= _LINEAR | _GATES


def is_running_total(nodes: tuple[fx.Node, ...]) -> bool:
    """Whether it adds up many, one after the other, and nobody sees what is between: ``total = total + x[i]``."""
    added = [node for node in nodes if is_rounded(node)]
    return (
        len(added) >= MANY
        and all(_name(node) == "add" and len(_terms(node)) for node in added)
        and all(len(node.users) == 1 for node in added[:-1])
    )


def is_rounded(node: fx.Node) -> bool:
    """Whether its result is not exact."""
    return _name(node) in _ROUNDED


def _name(node: fx.Node) -> str:
    return getattr(call_of(node), "name", "")


class _Parts:
    def __init__(
        self, graph: fx.Graph, reader: Reader, meant: set[fx.Node], dtype: torch.dtype, *, short: bool
    ) -> None:
        self._reader, self._meant, self._dtype, self._short = reader, meant, dtype, short
        self._long_results, self._computed = set[fx.Node](), dict[fx.Node, bool]()
        self.too_large = list[fx.Node]()
        self._order, self._mode, mode = dict[fx.Node, int](), dict[fx.Node, int](), 0
        for at, node in enumerate(graph.nodes):
            mode += changes_mode(node)
            self._order[node], self._mode[node] = at, mode

    def is_computed(self, node: fx.Node) -> bool:
        """Whether it is an operation on elements, or a reduction, whose result is of the dtype."""
        if node not in self._computed:
            self._computed[node] = _name(node) in _ELEMENTWISE and self._is_own(node) and self._is_of_dtype(node)
        return self._computed[node]

    def _is_of_dtype(self, node: Any) -> bool:
        """Whether it is of the dtype, or of one that a rule has computed it in."""
        return is_of(node, self._dtype) or (
            self._dtype is not torch.float32 and is_of(node, torch.float32) and is_marked_as_stable(node)
        )

    def goes_on(self, node: fx.Node, user: fx.Node) -> bool:
        """Whether ``node`` is only looked at as part of ``user``; what decides is never computed otherwise."""
        return is_kept(user) or (self.is_computed(user) and self._mode[user] == self._mode[node])

    def _is_own(self, node: fx.Node) -> bool:
        call = call_of(node)
        if call is None or call.writes or node in self._meant or "dtype" in call.kwargs:
            return False
        if is_conversion(node):
            given = call.args[0]
            return self._is_of_dtype(given) and self._is_of_dtype(node) and _same_device(node, given)
        return not any(isinstance(one, torch.dtype) and one is not self._dtype for one in call.args[1:])

    def _belongs(self, node: fx.Node, mode: int) -> bool:
        return self._mode[node] == mode and (
            self.is_computed(node) or (is_kept(node) and self._is_own(node)) or _is_several(node)
        )

    def behind(self, result: fx.Node) -> Expression | None:
        """The expression that ends in ``result``; None where it is not one to be looked at."""
        found = self._made_by(result, small_products=self._dtype is torch.float32)
        if any(map(is_small_product, found)) and not compares_products(found):
            found = self._made_by(result, small_products=False)
        if self._short and sum(map(is_rounded, found)) >= SHORT:
            self._long_results.add(result)
        if len(found) > LONG:
            found = behind_necks(result, found, self._order, self._is_value)
        if len(found) > LARGEST:
            self.too_large.append(result)
            return None
        nodes = _without_views(tuple(sorted(found, key=self._order.__getitem__)))
        found = {*nodes}
        leaves = tuple(dict.fromkeys(n for node in nodes for n in node.all_input_nodes if n not in found))
        if not (self._can_lose(nodes) or is_suspect(nodes)) or not any(map(self._is_of_dtype, leaves)):
            return None
        if any(self._reader.is_written_later(n) for n in (*nodes, *leaves)) or self._is_meant(nodes, leaves):
            return None
        return Expression(result, nodes, leaves, self._mode[result], self._dtype)

    def _made_by(self, result: fx.Node, *, small_products: bool) -> set[fx.Node]:
        """What ``result`` is made by; a few more than can be looked at, if it is so many."""
        found, waiting, mode = {result}, [result], self._mode[result]
        while waiting and len(found) <= LARGEST:
            for one in waiting.pop(0).all_input_nodes:
                product = small_products and self._mode[one] == mode and is_small_product(one) and self._is_own(one)
                if one not in found and one not in self._long_results and (product or self._belongs(one, mode)):
                    found.add(one)
                    waiting.append(one)
        return found

    def _is_value(self, node: fx.Node, before: set[fx.Node]) -> bool:
        """Whether ``node`` is looked at by itself, or is a sum of products of what is given."""
        if not self.is_computed(node):
            return False
        nodes = tuple(sorted(before, key=self._order.__getitem__))
        return not all(self.goes_on(node, user) for user in node.users) or not (
            self._can_lose(nodes) or is_suspect(nodes)
        )

    def _can_lose(self, nodes: tuple[fx.Node, ...]) -> bool:
        """Whether digits can be lost; in low precision a square is soon out of range, or a sum is."""
        low = self._dtype is not torch.float32
        if low and is_running_total(nodes):
            return True
        return not _is_layer(nodes) and (_can_lose(nodes) or (low and sum(map(is_rounded, nodes)) > 1))

    def _is_meant(self, nodes: tuple[fx.Node, ...], leaves: tuple[fx.Node, ...]) -> bool:
        """Whether it is about its rounding errors, about whole numbers, or has a gradient or a guard of its own.

        ``hard - soft.detach() + soft`` is ``hard``, with the gradient of ``soft``; ``p.clamp(1e-6, 1 - 1e-6)`` keeps
        a probability from where its logarithm ends.
        """
        detached = [n.all_input_nodes[0] for n in nodes if _name(n) == "detach" and not is_marked_as_stable(n)]
        return (
            any(n in self._reader.delicate for n in (*nodes, *leaves))
            or any(_name(n) in _WHOLE for n in nodes)
            or (any(map(_is_guard, nodes)) and not any(map(is_marked_as_stable, nodes)))
            or any(user in nodes and _name(user) != "detach" for one in detached for user in one.users)
            or any(map(self._is_straight_through, nodes))
        )

    def _is_straight_through(self, node: fx.Node) -> bool:
        """Whether it is ``soft + (hard - soft).detach()``, however often ``soft`` is computed."""
        if _name(node) != "add":
            return False
        values = self._reader.values
        for one, soft in (node.all_input_nodes, node.all_input_nodes[::-1]) if len(node.all_input_nodes) == 2 else ():
            difference = one.all_input_nodes[0] if _name(one) == "detach" else one
            if difference is not one and _name(difference) == "sub" and soft in values:
                return any(values.get(other) is values[soft] for other in difference.all_input_nodes)
        return False


def _without_views(nodes: tuple[fx.Node, ...]) -> tuple[fx.Node, ...]:
    """Without what only shows something given otherwise: that is what is given, in sizes that are needed."""
    found = {*nodes}
    for node in nodes[:-1]:
        if _name(node) not in _VIEWS or len(node.all_input_nodes) != 1:
            continue
        given = node.all_input_nodes[0]
        if _name(node) == "getitem" and not _is_several(given):
            continue
        if given not in found and (_is_several(given) or [n for n in given.users if n in found] == [node]):
            found.discard(node)
    return tuple(node for node in nodes if node in found)


def _is_several(node: fx.Node) -> bool:
    """Whether it is several tensors of an operation that has several results."""
    return _name(node) in ("max", "min", "chunk", "split", "unbind") and isinstance(example(node), tuple | list)


def _can_lose(nodes: tuple[fx.Node, ...]) -> bool:
    """Whether digits can be lost, beyond those of each rounding: not by sums of squares, products and roots alone."""
    rounded = [node for node in nodes if is_rounded(node)]
    return len(rounded) > 1 and any(
        _name(node) not in _KEEPS_DIGITS
        or (_name(node) == "add" and any(one in rounded and _name(one) != "add" for one in _terms(node)))
        for node in (*rounded, *(n for n in nodes if _name(n) in ("neg", "negative")))
    )


def _terms(node: fx.Node) -> list[fx.Node]:
    """What is added up, unless that is a number and something else."""
    terms = node.all_input_nodes
    return terms if len(terms) > 1 else []


def _is_layer(nodes: tuple[fx.Node, ...]) -> bool:
    """Whether it is a softmax of scores, whose gradient is torch's, or a sum of products, as a rotary embedding is."""
    rounded = [name for name in map(_name, nodes) if name in _ROUNDED]
    return (
        set(rounded) <= _LINEAR | _OWN_GRADIENT
        and sum(name in _OWN_GRADIENT for name in rounded) <= 1
        and all(name not in _OWN_GRADIENT for name in rounded[:-1])
    )


def _is_guard(node: fx.Node) -> bool:
    """Whether it keeps what was computed a little away from 0."""
    call = call_of(node)
    if call is None or call.name not in ("clamp", "clamp_min", "maximum"):
        return False
    low = call.get(1, "other" if call.name == "maximum" else "min")
    return isinstance(low, float) and 0 < low < REGULARISER


def _same_device(node: Any, other: Any) -> bool:
    return bool(example(node).device == example(other).device)


def is_of(node: Any, dtype: torch.dtype) -> bool:
    """Whether it is a tensor of ``dtype``, of torch's own kind."""
    value = example(node)
    return isinstance(value, Tensor) and value.dtype is dtype and torch_internals.is_fake(value)
