"""Expressions of sums and products alone, as most layers are, that float32 can be wrong for all the same.

a * d - b * c                  an area: of nearly equal products little is left
(a * c + b * d) / (c * c + d * d)    a quotient of complex numbers: the squares overflow, it does not
    x2 + y2 - 2 * x @ y.T          distances, of what is nearly equal; a covariance by E[xy] - E[x] E[y]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.stability.spelling import Call, call_of, example

FEW = 2**20  # multiplications
_CHOOSES = frozenset(
    {
        *("relu", "max", "min", "maximum", "minimum", "amax", "amin", "fmax", "fmin", "clamp", "clamp_min"),
        *("clamp_max", "where", "masked_fill", "nan_to_num"),
    }
)
_ON_ELEMENTS = frozenset({"add", "sub", "mul", "div", "reciprocal", "square", "pow"})
_LOGARITHMS = frozenset({"log", "log2", "log10"})
_TRANSCENDENTAL = _LOGARITHMS | {"sin", "cos", "exp", "erf", "erfc", "ndtr", "special_ndtr", "tanh", "sigmoid"}


def cancels_products(nodes: Iterable[fx.Node]) -> bool:
    """Whether products of what has one shape are subtracted, as an area's are.

    A rotary embedding's angles are broadcast, or angles; what is weighed by probabilities has their rounding.
    """
    calls = [call for node in nodes if (call := call_of(node)) is not None]
    differences = [call for call in calls if call.name == "sub" and all(map(_is_product, call.args[:2]))]
    return (
        bool(differences)
        and not any(call.name in _TRANSCENDENTAL for call in calls)
        and not any(map(_is_of_complex_numbers, differences))
    )


def _is_of_complex_numbers(difference: Call) -> bool:
    """Whether ``a c - b d`` has ``a d + b c`` of the same beside it, as complex numbers and quaternions have."""
    operands = [one for product in difference.args[:2] for one in product.all_input_nodes]
    wanted = {_key(one) for one in operands}
    nodes = difference.node.graph.nodes
    added = {one for node in nodes if _adds(node) for one in node.all_input_nodes}
    return any(
        len(product.all_input_nodes) == 2 and {_key(one) for one in product.all_input_nodes} <= wanted
        for product in added
        if _is_product(product)
    )


def _adds(node: fx.Node) -> bool:
    call = call_of(node)
    return call is not None and call.name == "add"


def _key(node: fx.Node) -> Any:
    """The same for each time that a component is taken."""
    return (node.target, str(node.args)) if getattr(call_of(node), "name", "") in ("getitem", "select") else node


def is_small_product(node: fx.Node) -> bool:
    """Whether it is a product of matrices that takes no time, in whatever precision."""
    call = call_of(node)
    if call is None or call.name not in ("matmul", "mm") or call.writes:
        return False
    tensors = [example(one) for one in (node, *call.args[:2])]
    if not all(isinstance(one, Tensor) and one.dim() == 2 for one in tensors):
        return False
    (rows, columns), inner = map(torch_internals.size_hint, tensors[0].shape), tensors[1].shape[1]
    return bool(rows * columns * torch_internals.size_hint(inner) <= FEW)


def compares_products(nodes: Iterable[fx.Node]) -> bool:
    """Whether a product of matrices is compared with sums of what it is made of; little may be left."""
    calls = {node: call for node in nodes if (call := call_of(node)) is not None}
    products = [node for node in calls if is_small_product(node)]
    if not any(call.name in ("add", "sub") for call in calls.values()):
        return False
    before = {one for product in products for one in _made_of(product, calls)}  # what is centred is no comparison
    sums = [
        node
        for node, call in calls.items()
        if call.name in ("sum", "mean") and node not in before and not _made_of(node, calls) & {*products}
    ]
    given = [_made_of(one, calls) - calls.keys() for one in sums]
    return bool(products) and all(any(its & _made_of(one, calls) for its in given) for one in products)


def leaves_range(nodes: Iterable[fx.Node], rounded: frozenset[str]) -> bool:
    """Whether products of the same are divided by each other, or are what a logarithm is of: both overflow alone."""
    calls = {node: call for node in nodes if (call := call_of(node)) is not None}
    names = {call.name for call in calls.values()}
    if names & _CHOOSES or not names & rounded <= _ON_ELEMENTS | _LOGARITHMS:
        return False
    products = [node for node, call in calls.items() if _multiplies(call)]
    if not products or any(_adds_a_number(call) for call in calls.values()):
        return False
    if all(_is_of_differences(calls[one]) for one in products):
        return False  # of coordinates, whose unit is their user's
    for call in calls.values():
        if call.name in _LOGARITHMS and _made_of(call.args[0], calls) & {*products}:
            return True
        if call.name == "div" and all(isinstance(one, fx.Node) for one in call.args[:2]):
            above, below = (_made_of(one, calls) for one in call.args[:2])
            if above & {*products} and below & {*products} and any(n not in calls for n in above & below):
                return True
    return False


def _made_of(node: Any, calls: dict[fx.Node, Call]) -> set[fx.Node]:
    """``node`` and what it is made of."""
    found, waiting = {node}, [node]
    while waiting:
        one = waiting.pop()
        for other in one.all_input_nodes if one in calls else ():
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _is_product(node: Any) -> bool:
    call = call_of(node) if isinstance(node, fx.Node) else None
    if call is None or not _multiplies(call):
        return False
    tensors = [example(one) for one in (*call.args, node) if isinstance(example(one), Tensor)]
    return tensors[0].dim() > 0 and all(torch_internals.same_shape(one.shape, tensors[0].shape) for one in tensors)


def _multiplies(call: Call) -> bool:
    """Whether it is a product of two tensors, or a power."""
    if call.name == "mul":
        return all(isinstance(example(one), Tensor) for one in call.args[:2])
    return call.name == "square" or (call.name == "pow" and isinstance(call.args[1], int | float) and call.args[1] > 1)


def _is_of_differences(product: Call) -> bool:
    return all(getattr(call_of(one), "name", "") == "sub" for one in product.node.all_input_nodes)


def _adds_a_number(call: Call) -> bool:
    return call.name in ("add", "sub") and any(isinstance(one, int | float) for one in call.args[:2])
