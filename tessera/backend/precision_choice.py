"""Which products of a Program are computed in low precision, and why the others are not.

A product is a matrix product, an attention or a convolution: all that devices have low-precision instructions for. It
stays as it is where the user has decided (a rule, an autocast, a cast), where operands or result need more digits than
a low precision has, and where it is too small to gain.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.device_precision import DevicePrecision, on_device
from tessera.program import Phase, Program, describe, layer_path

aten = torch.ops.aten

ATTENTION, ATTENTION_BACKWARD = torch_internals.attention_operators()
OPERANDS: dict[Any, tuple[int, ...]] = {
    aten.mm.default: (0, 1),
    aten.bmm.default: (0, 1),
    aten.addmm.default: (1, 2),
    aten.baddbmm.default: (1, 2),
    aten.convolution.default: (0, 1),
    aten.convolution_backward.default: (0, 1, 2),
    ATTENTION: (0, 1, 2),
    ATTENTION_BACKWARD: (0, 1, 2, 3, 4),
}
SMALLEST = 1 << 20  # multiplications; below, a CPU loses more to casts and the library's entry than it gains (measured)
LARGEST_SCORES = 1 << 25  # of an attention that is written out; they are in memory some times while it is computed
INLINED = 4096  # below, a product is no library call at all: see ``inline_tiny_products``

_CASTS = (torch.ops.prims.convert_element_type.default, aten._to_copy.default)
_LOW = (torch.bfloat16, torch.float16)
_EXACT_INTEGERS = (torch.bool, torch.uint8, torch.int8)  # every value has a place in any of our precisions


@dataclass
class Choice:
    """What becomes of each product.

    Attributes:
        lowered: product -> dtype of its operands.
        kept: product -> why it stays as it is.
        automatic: those of ``lowered`` that nobody has asked for by name.
        devices: what was asked, and what that comes to on the device.
    """

    lowered: dict[fx.Node, torch.dtype] = field(default_factory=dict)
    kept: dict[fx.Node, str] = field(default_factory=dict)
    automatic: dict[fx.Node, None] = field(default_factory=dict)
    devices: dict[str, DevicePrecision] = field(default_factory=dict)

    def lift(self, products: Collection[fx.Node], why: str) -> None:
        """Leave automatic products in float32 after all, each with its backward."""
        blamed = set(products)
        numbers = {_number(node) for node in blamed} - {None}
        for node in list(self.automatic):
            if node in blamed or _number(node) in numbers:
                del self.automatic[node], self.lowered[node]
                self.kept[node] = why

    def notes(self) -> Iterator[str]:
        """For the Report: what was asked, what came of it, and each reason with an example."""
        for asked, device in self.devices.items():
            if asked != "fp32":
                yield f"precision {asked}: {device.name} ({device.why})"
        for dtype, count in Counter(self.lowered.values()).items():
            yield f"  {_counted(count)} in {_short(dtype)}"
        for reason, count in Counter(self.kept.values()).items():
            first = next(node for node, why in self.kept.items() if why == reason)
            yield f"  {_counted(count)} not: {reason}; {'' if count == 1 else 'one is '}{describe(first)}"


def choose(program: Program) -> Choice:
    """Decide for every product of float32 operands."""
    choice = Choice()
    followers: dict[Any, str] = {}  # what was said of a forward holds for its backward, which has its number
    for node in program.graph.nodes:
        if not is_product(node):
            continue
        device = _operand(node).device
        asked = program.precision.of(layer_path(node))
        found = choice.devices[asked] = on_device(asked, device)
        if found.dtype is torch.float32:
            reason = f"the rule for {layer_path(node)}" if asked != program.precision.default else ""
        else:
            reason = _why_not(node, asked) or followers.get(_number(node), "")
        if reason and node.meta.get("phase") != Phase.BACKWARD and _number(node) is not None:
            followers[_number(node)] = reason
        if reason:
            choice.kept[node] = reason
        elif found.dtype is not torch.float32:
            choice.lowered[node] = found.dtype
            if asked == "auto":
                choice.automatic[node] = None
    return choice


def _number(node: fx.Node) -> int | None:
    """What autograd has numbered a forward and its backward with; None: it has not."""
    number = node.meta.get("seq_nr")
    return number if isinstance(number, int) and number >= 0 else None


def is_product(node: fx.Node) -> bool:
    """Whether ``node`` multiplies float32 operands, forward or backward."""
    if node.op != "call_function" or node.target not in OPERANDS:
        return False
    return all(getattr(n.meta.get("val"), "dtype", None) is torch.float32 for n in operands(node))


def can_be_written_out(attention: fx.Node) -> bool:
    """Whether an attention on a CPU, forward or backward, may become products and a softmax."""
    return has_room_for_scores(*_query_and_key(attention))


def has_room_for_scores(q: torch.Tensor, k: torch.Tensor) -> bool:
    """Whether the scores of query and key may be written out."""
    static = all(isinstance(size, int) for size in (*q.shape, *k.shape))
    return static and q.shape[:2] == k.shape[:2] and _scores(q, k) <= LARGEST_SCORES


def scores_of(attention: fx.Node) -> int:
    """How many scores an attention has, forward or backward."""
    return _scores(*_query_and_key(attention))


def _scores(q: torch.Tensor, k: torch.Tensor) -> int:
    return q.numel() // q.shape[-1] * k.shape[-2]


def _query_and_key(attention: fx.Node) -> Iterator[torch.Tensor]:
    operands: Any = attention.args[attention.target is ATTENTION_BACKWARD :]
    return (operand.meta["val"] for operand in operands[:2])


def operands(node: fx.Node) -> list[fx.Node]:
    """The operands of a product that take its precision."""
    return [node.args[i] for i in OPERANDS[node.target]]  # type: ignore[misc]


def _operand(node: fx.Node) -> torch.Tensor:
    value: torch.Tensor = operands(node)[0].meta["val"]
    return value


def _why_not(node: fx.Node, asked: str) -> str:
    if torch_internals.is_under_autocast(node):
        return "your own autocast decides"
    if node.meta.get("phase") != Phase.BACKWARD and (reason := _needs_digits(node)):
        return reason
    if node.target in (ATTENTION, ATTENTION_BACKWARD) and not can_be_written_out(node):
        return "its fused kernel is slower in low precision"
    values = [operand.meta["val"] for operand in operands(node)]
    return "too small to gain" if is_small(node.target, values, node.meta["val"], asked) else ""


def _needs_digits(node: fx.Node) -> str:
    """Why operands or result do, or nothing."""
    if any(_comes_from_whole_numbers(operand) for operand in operands(node)):
        return "positions and counts need all digits"
    if low := next(filter(None, map(_cast_from, operands(node))), None):
        return f"you cast its operand from {_short(low)}"
    used = _used_in(node)
    if not used.isdisjoint(_ANGLES):
        return "its result is an angle"
    factorised = any("linalg" in name for name in used - {"linalg_vector_norm"}) or not used.isdisjoint(_FACTORISATIONS)
    return "its result is factorised" if factorised else ""


def _comes_from_whole_numbers(operand: fx.Node) -> bool:
    """Whether it holds whole numbers that may be larger than a low precision can tell apart."""
    while operand.op == "call_function":
        if operand.target in _CASTS:
            dtype = operand.all_input_nodes[0].meta["val"].dtype
            if not (dtype.is_floating_point or dtype.is_complex):
                return dtype not in _EXACT_INTEGERS
        elif not torch_internals.is_view(operand.target) and operand.target is not aten.clone.default:
            return _name(operand) in ("arange", "iota")
        if not operand.all_input_nodes:
            return False
        operand = operand.all_input_nodes[0]
    return False


def _cast_from(operand: fx.Node) -> torch.dtype | None:
    """The low precision that the user's code has cast up for this operand, if there is one."""
    waiting, seen = [operand], set()
    while waiting:
        node = waiting.pop()
        if node in seen or node.op != "call_function":
            continue
        seen.add(node)
        if node.target in _CASTS and (dtype := node.all_input_nodes[0].meta["val"].dtype) in _LOW:
            return dtype
        if node.target in _CASTS or torch_internals.is_view(node.target) or _name(node) in _SCALING:
            waiting += [n for n in node.all_input_nodes if isinstance(n.meta.get("val"), torch.Tensor)]
    return None


def _used_in(node: fx.Node) -> set[str]:
    """The operators that see the result, with nothing between but views, ``cat`` and what works by the element."""
    waiting, seen, names = list(node.users), set(), set()
    while waiting:
        user = waiting.pop()
        if user in seen or user.op != "call_function" or user.meta.get("phase") == Phase.BACKWARD:
            continue
        seen.add(user)
        names.add(_name(user))
        if torch_internals.is_operator(user.target) and _is_elementwise(user):
            waiting += user.users
    return names


_SCALING = ("mul", "div", "neg")
_ANGLES = ("sin", "cos", "tan")
_FACTORISATIONS = ("cholesky", "triangular_solve", "cholesky_solve", "cholesky_inverse")


def _is_elementwise(node: fx.Node) -> bool:
    moves = torch_internals.is_view(node.target) or node.target is aten.cat.default
    return moves or torch.Tag.pointwise in node.target.tags  # type: ignore[union-attr]


def _name(node: fx.Node) -> str:
    return str(getattr(getattr(node.target, "overloadpacket", None), "__name__", ""))


def is_small(operator: Any, values: Sequence[torch.Tensor], result: Any, asked: str) -> bool:
    """Whether a product of ``values`` is too small to gain; ``result`` tells the size of a convolution."""
    limit = SMALLEST if asked == "auto" else INLINED
    return values[0].device.type == "cpu" and _multiplications(operator, values, result) <= limit


def _multiplications(operator: Any, values: Sequence[torch.Tensor], result: Any) -> float:
    """How many, at least; infinitely many where a size is not known."""
    a, b = values[:2]
    if not all(isinstance(size, int) for size in (*a.shape, *b.shape)):
        return math.inf
    if operator in (aten.convolution.default, aten.convolution_backward.default):
        out = values[0] if operator is not aten.convolution.default else result
        return float(out.numel() * values[-1][0].numel())
    return float(a.numel() * (b.shape[-2] if operator in (ATTENTION, ATTENTION_BACKWARD) else b.shape[-1]))


def _short(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(dtype, str(dtype).removeprefix("torch."))


def _counted(count: int) -> str:
    return f"{count} product" if count == 1 else f"{count} products"
