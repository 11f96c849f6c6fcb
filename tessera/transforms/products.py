"""``tessera.jvp`` and ``tessera.vjp``: the derivative times a vector, from the right and from the left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import TransformError
from tessera.transforms.arguments import Aside, check_differentiable, check_function, with_aux


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """The value of a function and its change in a direction, both in one pass forward.

    Args:
        function: of tensors, or nests of them; returns likewise.
        primals: the arguments, as a tuple.
        tangents: the direction: a tuple of the same structure, shapes and dtypes.
        has_aux: the function returns a second value, which is handed on.

    Returns:
        ``(value, change)``, with ``has_aux`` ``(value, change, aux)``.

    Raises:
        TransformError: ``tangents`` are not like ``primals``, or hold something else than floating point tensors.

    Example:
        >>> import torch, tessera
        >>> tessera.jvp(lambda x: x ** 2, (torch.tensor(3.0),), (torch.tensor(1.0),))
        (tensor(9.), tensor(6.))

    References:
        Wengert, A simple automatic derivative evaluation program, 1964.
    """
    check_function(function, "jvp")
    _check_tangents(primals, tangents)
    torch_internals.load_forward_mode()
    if not has_aux:
        return tuple(torch.func.jvp(function, tuple(primals), tuple(tangents)))
    aside = Aside()

    def checked(*args: Any) -> Any:
        value, aux = with_aux(function(*args), "jvp")
        return value, aside.put(aux)

    made: Any = torch.func.jvp(checked, tuple(primals), tuple(tangents), has_aux=True)
    value, change, tensors = made
    return value, change, aside.take(tensors)


def _check_tangents(primals: Sequence[Any], tangents: Sequence[Any]) -> None:
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        one = primals if not isinstance(primals, tuple | list) else tangents
        raise TransformError(
            f"tessera.jvp was given a {type(one).__name__} for its arguments.",
            "Arguments and directions are tuples, with one entry for each argument of the function.",
            "Write tessera.jvp(f, (x,), (v,)).",
        )
    for called, values in (("primals", primals), ("tangents", tangents)):
        check_differentiable(values, called, "jvp")
    kinds = [[(t.shape, t.dtype) for t in torch_internals.flattened(values)[0]] for values in (primals, tangents)]
    if kinds[0] != kinds[1]:
        shown = [[f"{list(shape)} {str(dtype).removeprefix('torch.')}" for shape, dtype in kind] for kind in kinds]
        raise TransformError(
            f"tessera.jvp was given tangents {', '.join(shown[1])} for primals {', '.join(shown[0])}.",
            "A direction has the shapes and dtypes of the point that it starts from.",
            "Write torch.ones_like(x) or torch.randn_like(x) for a tangent.",
        )


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of a function, and a function that takes vectors back through its derivative.

    Args:
        function: of tensors, or nests of them; returns likewise.
        primals: the arguments.
        has_aux: the function returns a second value, which is handed on.

    Returns:
        ``(value, pull)``, with ``has_aux`` ``(value, pull, aux)``: ``pull(cotangent)``, of something like the value,
        returns a tuple with one entry for each argument.

    Raises:
        TransformError: an argument is no floating point tensor, or ``has_aux`` without a pair.

    Example:
        >>> import torch, tessera
        >>> value, pull = tessera.vjp(torch.sin, torch.tensor(0.0))
        >>> pull(torch.tensor(2.0))
        (tensor(2.),)
    """
    check_function(function, "vjp")
    check_differentiable(primals, "arguments", "vjp")
    if not has_aux:
        return tuple(torch.func.vjp(function, *primals))

    aside = Aside()

    def checked(*args: Any) -> Any:
        value, aux = with_aux(function(*args), "vjp")
        return value, aside.put(aux)

    made: Any = torch.func.vjp(checked, *primals, has_aux=True)
    value, pull, tensors = made
    return value, pull, aside.take(tensors)
