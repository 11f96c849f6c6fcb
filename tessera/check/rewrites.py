"""What could have been written instead in one call of torch: another axis, ``keepdim``, an operand turned round.

Each is a small edit of one line. ``repair`` runs the function with one of them at a time; the one that makes everything
fit tells which line was wrong, and what to write there.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.call import Call
from tessera.check.world import World
from tessera.explain.repairs import dims, flattened, orders

Pieces = tuple[Any, tuple[Any, ...], dict[str, Any]]  # function, args, kwargs

# What an edit costs, in edits of one number: the cheapest that makes everything fit is taken to be what was meant.
KEEPS = 0.95  # its dimension; the same numbers all the same
AXIS = 1.0
RESULT = 0.94  # letters of the result of an einsum, whose order nothing tells
NO_SUM = 0.25  # more, for an einsum that sums over nothing then; or over what all of its operands begin with
USUAL = 0.04  # more where a bound becomes a larger number, less where it becomes smaller: those are written oftener
ONE_MORE = 1.1  # or less: a dimension of size 1
UNLIKE = 0.15  # more, to turn round what meets a tensor of another number of dimensions
ELSEWHERE = 0.1  # more, for a dimension of size 1 where nothing is broadcast
AT_ONCE = 0.05  # less, for a dimension that is added in the line that takes an item, a sum or numbers in a row
FORGOTTEN = 1.15  # to transpose a factor
LAST = 0.08  # more, for another axis than the -1 that is written: it is the usual one
NO_AXIS = 0.05  # more, where the number is an axis by accident
INDEX = SWAPPED = 1.2
SIZE = OTHER_FUNCTION = TURNED = 1.3
LEFT_OUT = SEVERAL_MORE = 1.4
TAKEN = 1.45  # one item of a dimension, or a sum over it, that was forgotten
_MOST_LETTERS, _MOST_EQUATIONS = 4, 120


@dataclass(frozen=True)
class Rewrite:
    """One edit of a call.

    Attributes:
        cost: in edits of one number.
        text: what it is, as code.
        pieces: the function and arguments to call instead; given those that were written.
        after: what is done to the result.
        operand: the argument that is laid out otherwise, where that is the edit.
        number: the size that becomes another, where that is the edit.
    """

    cost: float
    text: str
    pieces: Callable[[Pieces], Pieces] = lambda pieces: pieces
    after: Callable[[Any], Any] = lambda result: result
    operand: torch.Tensor | None = None
    number: int | None = None


def rewrites(call: Call, sizes: Sequence[int], world: World) -> Iterator[Rewrite]:
    """Edits of a call, each of which may give it another result.

    Args:
        call: the call.
        sizes: numbers that may be what should stand here.
        world: whose sizes they are.
    """
    if call.of_layer:
        yield from _of_input(call)
    elif call.name == "__get__":
        yield from _of_shape(call)
    elif call.name == "einsum":
        yield from _of_letters(call)
    elif call.name == "__getitem__":
        yield from _of_index(call)
    else:
        yield from _of_numbers(call, sizes, world)
        yield from _of_functions(call, sizes, world)
    if call.name not in ("__get__", "size"):
        yield from () if call.of_layer else _of_operands(call)
        yield from _afterwards(call)


def _of_shape(call: Call) -> Iterator[Rewrite]:
    """``b, d, s = x.shape`` in place of ``b, s, d``."""
    for one, other in itertools.combinations(range(call.tensors[0].dim() if call.tensors else 0), 2):

        def swapped(shape: Any, one: int = one, other: int = other) -> Any:
            places = list(shape)
            places[one], places[other] = places[other], places[one]
            return torch.Size(places)

        yield Rewrite(INDEX, f"dimensions {one} and {other} of the shape, the other way round", after=swapped)


def _of_numbers(call: Call, sizes: Sequence[int], world: World) -> Iterator[Rewrite]:
    leaves, _ = torch_internals.flattened((call.args, call.kwargs))
    rank = max((t.dim() for t in call.tensors), default=0)
    for at, leaf in enumerate(leaves):
        if type(leaf) is bool:
            yield Rewrite(AXIS, f"{call.name} with {not leaf}", _with_leaf(at, not leaf))
        elif type(leaf) is int and call.name not in _RESHAPE and (call.name in _OF_AXES or -rank <= leaf < rank):
            cost = AXIS + LAST * (leaf == -1) + NO_AXIS * (call.name not in _OF_AXES)
            for axis in range(-rank - 1, 0) if leaf < 0 else range(rank + 1):
                yield Rewrite(cost, f"{call.name} with {axis}", _with_leaf(at, axis))
        if type(leaf) is int and call.name not in _OF_AXES:
            for size in (leaf - 1, leaf + 1, *(size for size in sizes if _is_any(size, world) <= _is_any(leaf, world))):
                yield Rewrite(SIZE, f"{call.name} with {world.text(size)}", _with_leaf(at, size), number=leaf)
    axes = [at for at, leaf in enumerate(leaves) if type(leaf) is int] if call.name in _OF_AXES else []
    for by in (-1, 1) if len(axes) > 1 else ():
        shifted = [leaf + by if at in axes else leaf for at, leaf in enumerate(leaves)]
        yield Rewrite(SWAPPED, f"{call.name} with {', '.join(str(shifted[at]) for at in axes)}", _with_leaves(shifted))
    if call.name in REDUCTIONS and "keepdim" not in call.kwargs and (len(call.args) > 1 or call.kwargs):
        yield Rewrite(KEEPS, f"{call.name} with keepdim=True", _with_keyword("keepdim", True))
    yield from _of_one_function(call, rank)


def _of_one_function(call: Call, rank: int) -> Iterator[Rewrite]:
    """What only some functions of torch can be told."""
    if call.name in _OF_SEVERAL:
        yield from _of_axes(call, rank)
    if len(call.args) == _WITHOUT_AXIS.get(call.name) and "dim" not in call.kwargs:
        for axis in (*range(1, rank + 1), -1):
            yield Rewrite(AXIS + USUAL, f"{call.name} with dim={axis}", _with_keyword("dim", axis))
    if call.name == "arange":
        yield Rewrite(AXIS + USUAL, "arange of every second number", after=operator.itemgetter(slice(None, None, 2)))
    if call.name == "pad":
        yield from (Rewrite(AXIS, text, pieces) for text, pieces in _of_pads())
    if call.name == "meshgrid":
        other = "xy" if call.kwargs.get("indexing", "ij") == "ij" else "ij"
        yield Rewrite(AXIS, f'indexing="{other}"', _with_keyword("indexing", other))
    if call.name == "pad_sequence":
        yield Rewrite(AXIS, "batch_first", _with_keyword("batch_first", not call.kwargs.get("batch_first")))


def _of_axes(call: Call, rank: int) -> Iterator[Rewrite]:
    """A reduction over one axis more or less."""
    named = "dim" in call.kwargs
    given = call.kwargs["dim"] if named else call.args[1] if len(call.args) > 1 else None
    axes = [given] if type(given) is int else list(given) if isinstance(given, (tuple, list)) else []
    if not axes or rank < 2:
        return
    known = {axis % rank for axis in axes}
    for axis in range(rank):
        other = tuple(sorted(known ^ {axis}))
        if other:
            change = functools.partial(_with_axes, named, other)
            yield Rewrite(AXIS + USUAL * (axis not in known), f"{call.name} with {other}", change)


def _with_axes(named: bool, axes: tuple[int, ...], given: Pieces) -> Pieces:
    function, args, kwargs = given
    return (function, args, {**kwargs, "dim": axes}) if named else (function, (args[0], axes, *args[2:]), kwargs)


def _of_pads() -> Iterator[tuple[str, Callable[[Pieces], Pieces]]]:
    """The same ends of another dimension, the other end of the same."""

    def padded(ends: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Callable[[Pieces], Pieces]:
        return lambda p: (p[0], (p[1][0], ends(tuple(p[1][1])), *p[1][2:]), p[2])

    yield "pad with 0, 0 before its numbers", padded(lambda ends: (0, 0, *ends))
    yield "pad with 0, 0, 0, 0 before its numbers", padded(lambda ends: (0, 0, 0, 0, *ends))
    yield "pad without its first two numbers", padded(lambda ends: ends[2:])
    yield "pad with its first two numbers swapped", padded(lambda ends: (*ends[1::-1], *ends[2:]))


def _is_any(size: int, world: World) -> bool:
    """Whether a number is made of a declared size; nobody writes such a one for a number that is not."""
    return size > 1 and any(size % example == 0 for example in world.examples.values())


def _of_functions(call: Call, sizes: Sequence[int], world: World) -> Iterator[Rewrite]:
    others = {"cat": torch.stack, "concat": torch.stack, "stack": torch.cat}
    if call.name in others:
        other = others[call.name]
        yield Rewrite(OTHER_FUNCTION, f"torch.{other.__name__}", lambda pieces: (other, *pieces[1:]))
        yield Rewrite(OTHER_FUNCTION, "the sum of what is joined", lambda pieces: (_summed, pieces[1][:1], {}))
    if call.name in PRODUCTS:
        yield Rewrite(SWAPPED, "b @ a in place of a @ b", lambda p: (p[0], (*p[1][1::-1], *p[1][2:]), p[2]))
    if call.name in ("mul", "__mul__") and all(isinstance(value, torch.Tensor) for value in call.args):
        yield Rewrite(OTHER_FUNCTION, "a @ b in place of a * b", lambda p: (torch.matmul, *p[1:]))
        yield Rewrite(
            OTHER_FUNCTION, "a @ b.mT in place of a * b", lambda p: (torch.matmul, (p[1][0], p[1][1].mT), p[2])
        )
    if call.name in ("matmul", "__matmul__"):
        yield Rewrite(OTHER_FUNCTION, "a * b in place of a @ b", lambda p: (torch.mul, *p[1:]))
    if call.name in _LAYOUTS and call.tensors:
        yield Rewrite(LEFT_OUT, f"no {call.name}", _left_out)
        if call.name == "permute":
            axes = [int(a) for a in (call.args[1] if isinstance(call.args[1], (tuple, list)) else call.args[1:])]
            for order in itertools.permutations(range(len(axes))) if len(axes) <= _MOST_LETTERS else ():
                if list(order) != axes:
                    yield Rewrite(
                        AXIS,
                        f"permute{order}",
                        lambda p, order=order: (p[0], (p[1][0], *order), {}),  # type: ignore[misc]
                    )
    if call.name in _CASTS and call.tensors and call.tensors[0].dtype == torch.int64:
        for size in sizes:
            yield Rewrite(TAKEN, f"one_hot(..., {world.text(size)}) of what is cast", _turned_leaf(0, _encoded(size)))
    if call.name in ("view", "reshape", "expand") and len(call.args) > 2:
        for first, second in itertools.combinations(range(1, len(call.args)), 2):
            yield Rewrite(SWAPPED, f"arguments {first} and {second} swapped", _swapped(first, second))


def _summed(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return functools.reduce(operator.add, tensors)


def _encoded(size: int) -> Callable[[Any], Any]:
    return lambda labels: torch.nn.functional.one_hot(labels, size)


def _left_out(pieces: Pieces) -> Pieces:
    return (lambda given: given), pieces[1][:1], {}


def _of_letters(call: Call) -> Iterator[Rewrite]:
    equation = call.args[0]
    if not isinstance(equation, str) or "." in equation:
        return
    inputs, arrow, out = equation.replace(" ", "").partition("->")
    written = inputs.split(",")
    others = ["".join(order) for order in itertools.permutations(out)] if len(out) <= _MOST_LETTERS else []
    others += [out[:at] + out[at + 1 :] for at in range(len(out))] if len(out) > 1 else []
    missing = [letter for letter in dict.fromkeys("".join(written)) if letter not in out]
    others += [out[:at] + letter + out[at:] for letter in missing for at in range(len(out) + 1)]
    others += [out.replace(old, letter) for old in out for letter in missing]
    equations = [f"{inputs}->{other}" for other in others if other != out] if arrow else []
    known = sorted(set("".join(written)))
    for at, letters in enumerate(written):
        inside = []
        for one, other in itertools.combinations(range(len(letters)), 2):
            swapped = list(letters)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            inside.append("".join(swapped))
        inside += [letters.replace(old, new) for old in letters for new in known if new not in letters]
        equations += [",".join([*written[:at], other, *written[at + 1 :]]) + arrow + out for other in inside]
    far = [f"{inputs}->{''.join(order)}" for order in itertools.permutations(known, len(out))] if arrow else []
    if len(far) <= _MOST_EQUATIONS:
        equations += [text for text in far if text not in equations and text != f"{inputs}->{out}"]
    for text in equations:
        cost = RESULT if text.startswith(inputs) else SWAPPED
        cost += USUAL * (text in far and _letters_apart(text.rpartition(">")[2], out) > 1)
        cost += NO_SUM * (arrow == "->" and _sums_otherwise(written, out, text))
        yield Rewrite(cost, f'"{text}"', lambda p, text=text: (p[0], (text, *p[1][1:]), p[2]))  # type: ignore[misc]


def _sums_otherwise(written: Sequence[str], out: str, text: str) -> bool:
    """Whether an equation sums over nothing where one sums, or over the batch: the letter that all begin with."""
    inputs, _, other = text.partition("->")
    known, first = set("".join(written)), {letters[:1] for letters in written}
    batch = first.pop() if len(written) > 1 and len(first) == 1 else ""
    all_left = known - set(out) and not set(inputs) - {","} - set(other)
    return bool(all_left) or bool(batch and batch in out and batch in inputs and batch not in other)


def _letters_apart(one: str, other: str) -> int:
    return sum(a != b for a, b in itertools.zip_longest(one, other))


def _of_index(call: Call) -> Iterator[Rewrite]:
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    found: list[tuple[float, tuple[Any, ...]]] = []
    for at, item in enumerate(index):
        before, behind = index[:at], index[at + 1 :]
        if item is None:
            found.append((INDEX, (*before, *behind)))
            rest = (*before, *behind)
            found += [(AXIS, (*rest[:to], None, *rest[to:])) for to in range(len(rest) + 2) if to != at]
            found.append((AXIS, (*before, None, None, *behind)))
        elif isinstance(item, int) and not isinstance(item, bool):
            found += [
                (INDEX, (*before, slice(item, item + 1 or None), *behind)),
                (INDEX, (*before, slice(None), *behind)),
            ]
            found.append((INDEX, (*before, slice(None), item, *behind)))
        elif isinstance(item, slice) and _is_plain(item):
            if item != slice(None) and len(index) < call.args[0].dim():
                found.append((INDEX, (*before, slice(None), item, *behind)))
            if item.start is None and item.stop in (1, None):
                found.append((INDEX, (*before, 0, *behind)))
            for start, stop in _bounds(item):
                larger = sum(map(abs, filter(None, (start, stop)))) > sum(
                    map(abs, filter(None, (item.start, item.stop)))
                )
                cost = AXIS + (USUAL if larger else -USUAL)
                found.append((cost, (*before, slice(start, stop, item.step), *behind)))
            if item.start is not None or item.stop is not None:
                found.append((LEFT_OUT, (*before, slice(None), *behind)))
    if any(item is None for item in index) and sum(item is not None for item in index) < call.args[0].dim():
        found += [(AXIS, (*index[:at], slice(None), *index[at:])) for at in range(len(index))]
    for one, other in itertools.combinations(range(len(index)), 2):
        swapped = list(index)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        found.append((AXIS if None in (index[one], index[other]) else SWAPPED + USUAL, tuple(swapped)))
    for cost, other_index in found:
        yield Rewrite(cost, f"[{_index_text(other_index)}]", lambda p, i=other_index: (p[0], (p[1][0], i), p[2]))  # type: ignore[misc]


def _is_plain(item: slice) -> bool:
    return all(bound is None or type(bound) is int for bound in (item.start, item.stop, item.step))


def _bounds(item: slice) -> Iterator[tuple[int | None, int | None]]:
    if item.start is None and item.stop is None:
        yield from ((None, -1), (1, None))
        return
    for by in (-1, 1):
        if item.start is not None and item.start + by != 0:
            yield item.start + by, item.stop
        if item.stop is not None and item.stop + by != 0:
            yield item.start, item.stop + by


def _of_input(call: Call) -> Iterator[Rewrite]:
    if call.args and isinstance(call.args[0], torch.Tensor):
        for cost, text, turn in (*turns(call.args[0]), *_items(call.args[0])):
            yield Rewrite(cost, f"{text} of what the layer is given", _turned_leaf(0, turn), operand=call.args[0])


def _of_operands(call: Call) -> Iterator[Rewrite]:
    leaves, _ = torch_internals.flattened((call.args, call.kwargs))
    if sum(isinstance(leaf, torch.Tensor) for leaf in leaves) < 2:  # of one it is as well done before
        return
    for at, leaf in enumerate(leaves):
        if isinstance(leaf, torch.Tensor):
            for cost, text, turn in (*turns(leaf), *_items(leaf)):
                if call.name in PRODUCTS and text == ".transpose(-2, -1)":
                    cost = FORGOTTEN  # noqa: PLW2901 - the usual slip
                elif cost == TURNED and call.name in ELEMENTWISE and any(t.dim() != leaf.dim() for t in call.tensors):
                    cost += UNLIKE  # noqa: PLW2901
                elif adds(text) and call.name not in _BROADCASTS:
                    cost += ELSEWHERE  # noqa: PLW2901
                yield Rewrite(cost, f"{text} of an operand of {call.name}", _turned_leaf(at, turn), operand=leaf)


def _afterwards(call: Call) -> Iterator[Rewrite]:
    if isinstance(call.result, torch.Tensor):
        for cost, text, turn in (*turns(call.result), *_items(call.result)):
            more = 0.0
            if call.name in ELEMENTWISE and cost == TAKEN and len(call.tensors) > 1:
                more = -AT_ONCE  # where two were put together a sum over what they are made of was forgotten
            elif call.name in ELEMENTWISE:  # it was so before; nothing was born here
                more = 1.0
            elif cost == TURNED and _lays_against(call):  # the order of the dimensions was written here
                more = -AT_ONCE
            elif text.startswith(".squeeze"):  # what is too many is wrong where it is made
                more = -0.1
            elif adds(text):  # what is missing, where it is used
                more = -AT_ONCE if makes_room(call) else 0.05
            yield Rewrite(cost + more, f"{text} behind {call.name}", after=turn)


def lays_out(call: Call) -> bool:
    """Whether a call gave its result dimensions of size 1: who does that means them to fit what it meets."""
    shape = call.result.shape if isinstance(call.result, torch.Tensor) else ()
    return call.name in _SHAPES and any(type(size) is int and size == 1 for size in shape)


def makes_room(call: Call) -> bool:
    """Whether a call is where a dimension of size 1 is added that its result needs elsewhere."""
    return call.name in FRESH or call.name in _EXPANDS or lays_out(call)


def _lays_against(call: Call) -> bool:
    """Whether each of two tensors has a dimension of size 1 where the other has none: ``a[:, None] & b[None, :]``."""
    if len(call.tensors) != 2 or call.name not in _BROADCASTS:
        return False
    ones = [{at - t.dim() for at, size in enumerate(t.shape) if type(size) is int and size == 1} for t in call.tensors]
    return bool(ones[0] - ones[1]) and bool(ones[1] - ones[0])


def adds(text: str) -> bool:
    """Whether an edit of ``turns`` adds dimensions of size 1."""
    return text.startswith((".unsqueeze", "[..., None"))


def turns(tensor: torch.Tensor) -> Iterator[tuple[float, str, Callable[[Any], Any]]]:
    """Ways to lay out the same numbers, with what each costs: what errors propose, and several dimensions more."""
    if tensor.dim() > 1 and tensor.shape[-1] == 1:  # from the end, as a line that meets several ranks says it
        yield ONE_MORE, ".squeeze(-1)", lambda given: given.squeeze(-1)
    for cost, kind in ((TURNED, orders), (ONE_MORE, dims), (SEVERAL_MORE, flattened)):
        for code, turn in kind(tensor):
            yield cost, code.format(""), turn
    for more in (2, 3) if tensor.dim() else ():
        index = (..., *[None] * more)
        yield SEVERAL_MORE, f"[{_index_text(index)}]", operator.itemgetter(index)


def _items(tensor: torch.Tensor) -> Iterator[tuple[float, str, Callable[[Any], Any]]]:
    """One item of each dimension."""
    for axis, size in enumerate(tensor.shape):
        if size != 1:
            index = (*[slice(None)] * axis, 0)
            yield TAKEN, f"[{_index_text(index)}]", operator.itemgetter(index)


def _index_text(index: tuple[Any, ...]) -> str:
    def text(item: Any) -> str:
        if isinstance(item, slice):
            bounds = ["" if bound is None else str(bound) for bound in (item.start, item.stop)]
            return ":".join(bounds)
        return "..." if item is ... else "index" if isinstance(item, torch.Tensor) else str(item)

    return ", ".join(map(text, index))


def _with_leaf(at: int, value: Any) -> Callable[[Pieces], Pieces]:
    return _turned_leaf(at, lambda _: value)


def _with_leaves(leaves: list[Any]) -> Callable[[Pieces], Pieces]:
    """With other numbers; tensors are those of the call."""

    def pieces(given: Pieces) -> Pieces:
        before, nest = torch_internals.flattened((given[1], given[2]))
        args, kwargs = nest([new if type(new) is int else old for old, new in zip(before, leaves, strict=True)])
        return given[0], args, kwargs

    return pieces


def _turned_leaf(at: int, turn: Callable[[Any], Any]) -> Callable[[Pieces], Pieces]:
    def pieces(given: Pieces) -> Pieces:
        leaves, nest = torch_internals.flattened((given[1], given[2]))
        leaves[at] = turn(leaves[at])
        args, kwargs = nest(leaves)
        return given[0], args, kwargs

    return pieces


def _with_keyword(name: str, value: Any) -> Callable[[Pieces], Pieces]:
    return lambda given: (given[0], given[1], {**given[2], name: value})


def _swapped(one: int, other: int) -> Callable[[Pieces], Pieces]:
    def pieces(given: Pieces) -> Pieces:
        args = list(given[1])
        args[one], args[other] = args[other], args[one]
        return given[0], tuple(args), given[2]

    return pieces


PRODUCTS = {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm"}
_CASTS = {"float", "to", "half", "bfloat16", "double", "type", "type_as"}
_SHAPES = {"view", "reshape", "unsqueeze"}
_EXPANDS = {"expand", "expand_as"}
_RESHAPE = {"view", "reshape", "expand", "repeat"}  # whose numbers are sizes, however small they are
_LAYOUTS = {"transpose", "permute", "t", "mT", "T", "squeeze", "unsqueeze", "flatten", "float", "swapaxes", "movedim"}
REDUCTIONS = {
    *(
        "sum",
        "mean",
        "std",
        "var",
        "amax",
        "amin",
        "max",
        "min",
        "argmax",
        "argmin",
        "norm",
        "logsumexp",
        "prod",
        "any",
    ),
    *("all", "vector_norm", "median"),
}
_OF_SEVERAL = {"sum", "mean", "amax", "amin", "std", "var", "logsumexp", "norm"}  # axes at once
_OF_AXES = REDUCTIONS | {
    *("transpose", "unsqueeze", "squeeze", "cat", "concat", "stack", "softmax", "log_softmax", "unbind", "flatten"),
    *("cumsum", "gather", "flip", "movedim", "swapaxes"),
}
# What takes the first axis, or all, where none is said; with how many arguments that is.
_WITHOUT_AXIS = {
    **dict.fromkeys(("stack", "cat", "concat", "unbind", "sum", "mean", "amax", "amin", "std", "var", "prod"), 1),
    **dict.fromkeys(("argmax", "argmin", "any", "all", "norm"), 1),
    **dict.fromkeys(("chunk", "split", "tensor_split", "repeat_interleave", "cosine_similarity"), 2),
}
_BROADCASTS = PRODUCTS | {
    *(
        f"{u}{r}{op}{u}"
        for op in ("add", "sub", "mul", "truediv", "pow", "and", "or")
        for r in ("", "r")
        for u in ("", "__")
    ),
    *("where", "masked_fill", "masked_fill_", "maximum", "minimum", "lerp", "addcmul", "div", "max", "min"),
    *(f"{u}{op}{u}" for op in ("ge", "gt", "le", "lt", "eq", "ne") for u in ("", "__")),
    *("cat", "concat", "stack", "gather", "scatter", "expand_as", "expand"),
}
# What drops dimensions or makes numbers in a row: who needs a dimension more adds it at once.
FRESH = REDUCTIONS | {
    *("__getitem__", "gather", "index_select", "select", "arange", "linspace", "logspace", "tensor"),
}
ELEMENTWISE = {
    *("relu", "gelu", "silu", "tanh", "sigmoid", "softmax", "log_softmax", "exp", "log", "sqrt", "rsqrt", "clamp"),
    *("dropout", "float", "contiguous", "abs", "to", "masked_fill", "layer_norm", "batch_norm", "group_norm", "neg"),
    *(f"{u}{r}{op}{u}" for op in ("add", "sub", "mul", "truediv", "pow") for r in ("", "r") for u in ("", "__")),
}
