"""What does not fit in a call of torch that raised: which operand and dimension, and what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from tessera.check.call import Call
from tessera.check.world import World
from tessera.shapes.spec import shape_text


@dataclass(frozen=True)
class Clash:
    """Two sizes that should be one.

    Attributes:
        tensor: the operand that does not fit.
        axis: its dimension, from the end.
        size: what would fit there.
        expected: the shape that would fit, as text.
        why: one sentence.
        fixes: code, the likeliest first.
        of_layer: whether ``size`` is that of a layer's parameters.
    """

    tensor: torch.Tensor
    axis: int
    size: Any
    expected: str
    why: str
    fixes: tuple[str, ...] = ()
    of_layer: bool = False


def clashes(call: Call, world: World, said: str = "") -> list[Clash]:
    """What does not fit in a call that raised; the likeliest operand first. Empty where the call is not understood.

    Args:
        call: the call.
        world: whose sizes its operands have.
        said: torch's message.
    """
    find = _FINDERS.get(call.name)
    found: Iterator[Clash] = iter(())
    try:
        if find is not None:
            found = find(call, world)
        elif any(words in said for words in _OF_BROADCASTING) and all(
            isinstance(value, (torch.Tensor, int, float, bool, torch.SymInt)) for value in call.args
        ):
            found = _broadcast(call, world)
        return list(found)
    except (TypeError, IndexError, AttributeError, ValueError):  # arguments of another form than the call takes
        return []


def _linear(call: Call, world: World) -> Iterator[Clash]:
    x, weight = _arguments(call, functional.linear, "input", "weight")
    wanted = weight.shape[-1]
    if not world.same(x.shape[-1], wanted):
        shape = world.texts([*x.shape[:-1], wanted])
        fixes = [_transposed(x, -1, wanted, world), f"in_features={world.text(x.shape[-1])} in the layer"]
        why = f"The layer takes {world.text(wanted)} features in the last dimension, not {world.text(x.shape[-1])}."
        yield Clash(x, -1, wanted, shape_text(shape), why, _said(fixes), of_layer=True)


def _product(call: Call, world: World) -> Iterator[Clash]:
    a, b = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, torch.Tensor)][-2:]
    if call.name == "__rmatmul__":
        a, b = b, a
    inner = -2 if b.dim() > 1 else -1
    if not world.same(a.shape[-1], b.shape[inner]):
        left, right = world.text(a.shape[-1]), world.text(b.shape[inner])
        why = f"A product multiplies the last dimension of the first, {left}, with the {'second to ' * (inner == -2)}"
        why += f"last of the second, {right}; they must be the same."
        fits_turned = b.dim() > 1 and world.same(a.shape[-1], b.shape[-1])
        fixes = ["b.transpose(-2, -1) in place of b, the second operand"] if fits_turned else []
        wanted = [*b.shape[:inner], a.shape[-1], *b.shape[b.dim() + inner + 1 :]]
        yield Clash(b, inner, a.shape[-1], shape_text(world.texts(wanted)), why, tuple(fixes))
        yield Clash(a, -1, b.shape[inner], shape_text(world.texts([*a.shape[:-1], b.shape[inner]])), why, tuple(fixes))
        return
    yield from _fit_all([a, b], world, skip=2, what="batch dimensions of a product")


def _broadcast(call: Call, world: World) -> Iterator[Clash]:
    operands = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, torch.Tensor)]
    yield from _fit_all(operands, world, skip=0, what="sizes, from the last one on,")


def _fit_all(operands: Sequence[torch.Tensor], world: World, *, skip: int, what: str) -> Iterator[Clash]:
    for at, one in enumerate(operands):
        for other in operands[at + 1 :]:
            for axis in range(-1 - skip, -min(one.dim(), other.dim()) - 1, -1):
                mine, theirs = one.shape[axis], other.shape[axis]
                if world.same(mine, theirs) or world.number(mine) == 1 or world.number(theirs) == 1:
                    continue
                why = f"The {what} must be equal or 1: {world.text(mine)} and {world.text(theirs)} are neither."
                for tensor, size, rest in ((other, mine, one), (one, theirs, other)):
                    shape = list(tensor.shape)
                    shape[axis] = size
                    fixes = _said([_transposed(tensor, axis, size, world), _unsqueezed(tensor, rest, world)])
                    yield Clash(tensor, axis, size, shape_text(world.texts(shape)), why, fixes)
                return


def _cat(call: Call, world: World) -> Iterator[Clash]:
    tensors = call.args[0] if call.args else call.kwargs["tensors"]
    dim = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else 0)
    first, stacking = tensors[0], call.name == "stack"
    for other in tensors[1:]:
        if other.dim() != first.dim():
            why = f"Tensors that are joined have the same number of dimensions, not {first.dim()} and {other.dim()}."
            yield Clash(other, -1, None, shape_text(world.texts(first.shape)), why)
            return
        for axis in range(first.dim()):
            if (stacking or axis != dim % first.dim()) and not world.same(first.shape[axis], other.shape[axis]):
                shape = list(other.shape)
                shape[axis] = first.shape[axis]
                why = (
                    f"Tensors that are {'stacked' if stacking else f'joined along dimension {dim}'} have the same "
                    f"sizes {'everywhere' if stacking else 'elsewhere'}; "
                    f"{world.text(first.shape[axis])} and {world.text(other.shape[axis])} differ."
                )
                fixes = () if stacking else (f"dim={axis} in {call.name}",)
                yield Clash(other, axis - first.dim(), first.shape[axis], shape_text(world.texts(shape)), why, fixes)
                yield Clash(first, axis - first.dim(), other.shape[axis], shape_text(world.texts(shape)), why, fixes)
                return


def _convolution(call: Call, world: World) -> Iterator[Clash]:
    x, weight = call.args[0], call.args[1]
    spatial = weight.dim() - 2
    groups = call.kwargs.get("groups", call.args[6] if len(call.args) > 6 else 1)
    transposed = "transpose" in call.name
    wanted = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.dim() not in (spatial + 1, spatial + 2):
        why = f"The layer takes [batch, channels] and {spatial} more, {spatial + 2} dimensions, not {x.dim()}."
        yield Clash(x, -1, None, shape_text(["N", world.text(wanted), *"DHW"[-spatial:]]), why)
    elif not world.same(x.shape[-spatial - 1], wanted):
        shape = list(x.shape)
        shape[-spatial - 1] = wanted
        received = world.text(x.shape[-spatial - 1])
        why = f"The layer takes {world.text(wanted)} channels, not {received}."
        fixes = _said([_transposed(x, -spatial - 1, wanted, world), f"in_channels={received} in the layer"])
        yield Clash(x, -spatial - 1, wanted, shape_text(world.texts(shape)), why, fixes, of_layer=True)


def _normalisation(call: Call, world: World) -> Iterator[Clash]:
    x = call.args[0]
    sizes: list[Any] = list(call.kwargs.get("normalized_shape", call.args[1] if len(call.args) > 1 else ()))
    for axis, wanted in zip(range(-len(sizes), 0), sizes, strict=True):
        if x.dim() < -axis or not world.same(x.shape[axis], wanted):
            shape = [*x.shape[: -len(sizes)], *sizes]
            received = world.text(x.shape[axis]) if x.dim() >= -axis else "none"
            why = f"The layer normalises the last dimensions {world.texts(sizes)}; there is {received}."
            fixes = (f"normalized_shape={received}",)
            yield Clash(x, axis, wanted, shape_text(world.texts(shape)), why, fixes, of_layer=True)
            return


def _channels(call: Call, world: World) -> Iterator[Clash]:
    x = call.args[0]
    known = [t for t in (*call.args[1:], *call.kwargs.values()) if isinstance(t, torch.Tensor) and t.dim() == 1]
    if known and x.dim() > 1 and not world.same(x.shape[1], known[0].shape[0]):
        shape = [x.shape[0], known[0].shape[0], *x.shape[2:]]
        why = f"The layer takes {world.text(known[0].shape[0])} channels in dimension 1, not {world.text(x.shape[1])}."
        yield Clash(x, 1 - x.dim(), known[0].shape[0], shape_text(world.texts(shape)), why, of_layer=True)


def _attention(call: Call, world: World) -> Iterator[Clash]:
    query, key, value = _arguments(call, functional.scaled_dot_product_attention, "query", "key", "value")
    for one, other, axis in ((query, key, -1), (key, value, -2)):
        if not world.same(one.shape[axis], other.shape[axis]):
            shape = list(other.shape)
            shape[axis] = one.shape[axis]
            what = "Query and key have the same last dimension" if axis == -1 else "Key and value have the same length"
            why = f"{what}, not {world.text(one.shape[axis])} and {world.text(other.shape[axis])}."
            yield Clash(other, axis, one.shape[axis], shape_text(world.texts(shape)), why)
            return
    yield from _fit_all([query, key, value], world, skip=2, what="batch and head dimensions")


def _einsum(call: Call, world: World) -> Iterator[Clash]:
    equation, *operands = call.args
    operands = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    first: dict[str, tuple[torch.Tensor, int]] = {}
    for letters, tensor in zip(equation.split("->")[0].replace(" ", "").split(","), operands, strict=True):
        if "." not in letters and len(letters) != tensor.dim():
            why = f"{letters!r} in the equation stands for {len(letters)} dimensions; the tensor has {tensor.dim()}."
            yield Clash(tensor, -1, None, shape_text(letters), why)
            return
        if "." in letters:
            continue
        for axis, letter in enumerate(letters):
            known, place = first.setdefault(letter, (tensor, axis))
            if not world.same(known.shape[place], tensor.shape[axis]):
                shape = list(tensor.shape)
                shape[axis] = known.shape[place]
                one, other = world.text(known.shape[place]), world.text(tensor.shape[axis])
                why = f"The letter {letter!r} of the equation stands for {one} and for {other}."
                yield Clash(tensor, axis - tensor.dim(), known.shape[place], shape_text(world.texts(shape)), why)
                yield Clash(known, place - known.dim(), tensor.shape[axis], shape_text(world.texts(known.shape)), why)
                return


def _loss(call: Call, world: World) -> Iterator[Clash]:
    x, target = call.args[0], call.args[1] if len(call.args) > 1 else call.kwargs["target"]
    if target.is_floating_point():
        yield from _broadcast(call, world)
        return
    wanted = [x.shape[0], *x.shape[2:]] if x.dim() > 1 else []
    if len(wanted) != target.dim():
        why = f"Labels of predictions with {x.dim()} dimensions have {len(wanted)}: all but the classes."
        yield Clash(target, -1, None, shape_text(world.texts(wanted)), why, _loss_fixes(x, target))
        return
    for axis, size in enumerate(wanted):
        if not world.same(size, target.shape[axis]):
            why = "Labels have the shape of the predictions without dimension 1, which holds the classes."
            fixes = _loss_fixes(x, target)
            yield Clash(target, axis - target.dim(), size, shape_text(world.texts(wanted)), why, fixes)
            yield Clash(x, axis - len(wanted), target.shape[axis], shape_text(world.texts(x.shape)), why, fixes)
            return


def _loss_fixes(x: torch.Tensor, target: torch.Tensor) -> tuple[str, ...]:
    return (
        ("logits.transpose(1, 2)", "logits.flatten(0, 1), labels.flatten()") if x.dim() == target.dim() + 1 > 2 else ()
    )


def _arguments(call: Call, function: Callable[..., Any], *names: str) -> list[Any]:
    try:
        bound = inspect.signature(function).bind(*call.args, **call.kwargs).arguments
    except ValueError:  # a builtin without a signature
        bound = dict(zip(names, call.args, strict=False)) | call.kwargs
    return [bound[name] for name in names]


def _transposed(tensor: torch.Tensor, axis: int, wanted: Any, world: World) -> str | None:
    for other in range(-1, -tensor.dim() - 1, -1):
        if other != axis and world.same(tensor.shape[other], wanted):
            return f"x.transpose({other}, {axis}), of this operand"
    return None


def _unsqueezed(tensor: torch.Tensor, other: torch.Tensor, world: World) -> str | None:
    """Where one more dimension of size 1 would make it fit."""
    if tensor.dim() >= other.dim():
        return None
    for place in range(1, tensor.dim() + 1):
        shape = [*tensor.shape[:place], 1, *tensor.shape[place:]]
        pairs = zip(reversed(shape), reversed(other.shape), strict=False)
        if all(world.number(a) == 1 or world.number(b) == 1 or world.same(a, b) for a, b in pairs):
            return f"x.unsqueeze({place - tensor.dim() - 1}), of this operand"
    return None


def _said(fixes: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(fix for fix in fixes if fix)


_OF_BROADCASTING = ("must match", "broadcast", "non-singleton")
_FINDERS: dict[str, Callable[[Call, World], Iterator[Clash]]] = {
    "linear": _linear,
    **dict.fromkeys(("matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "baddbmm", "mv", "dot"), _product),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack"), _cat),
    **dict.fromkeys((f"conv{n}d" for n in (1, 2, 3)), _convolution),
    **dict.fromkeys((f"conv_transpose{n}d" for n in (1, 2, 3)), _convolution),
    **dict.fromkeys(("layer_norm", "rms_norm"), _normalisation),
    **dict.fromkeys(("batch_norm", "group_norm", "instance_norm"), _channels),
    **dict.fromkeys(("cross_entropy", "nll_loss"), _loss),
    "scaled_dot_product_attention": _attention,
    "einsum": _einsum,
}
