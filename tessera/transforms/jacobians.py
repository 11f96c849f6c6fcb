"""``tessera.jacrev``, ``tessera.jacfwd`` and ``tessera.hessian``: the derivative of each number by each number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera import torch_internals
from tessera.transforms.arguments import ArgNums, Aside, check_argnums, check_function, named_like, with_aux
from tessera.transforms.parameters import WithParameters


def jacrev(
    function: Callable[..., Any],
    argnums: ArgNums = 0,
    has_aux: bool = False,
    *,
    wrt: torch.nn.Module | None = None,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The Jacobian by going backwards, once for each number of the output: for few outputs of many inputs.

    Args:
        function, argnums, has_aux, wrt: as in ``grad``; the function returns a tensor, or a nest of them.
        chunk_size: how many rows are computed at a time; None for all of them.

    Returns:
        A function of the same arguments that returns, for each output, the derivative ``[*output, *input]``.

    Raises:
        TransformError: as in ``grad``.

    Example:
        >>> import torch, tessera
        >>> tessera.jacrev(lambda x: x ** 2)(torch.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    check_function(function, "jacrev")

    def transform(inner: Callable[..., Any], numbers: ArgNums) -> Callable[..., Any]:
        return torch.func.jacrev(inner, numbers, has_aux=True, chunk_size=chunk_size)

    return _jacobian(function, argnums, has_aux, wrt, "jacrev", transform)


def jacfwd(
    function: Callable[..., Any],
    argnums: ArgNums = 0,
    has_aux: bool = False,
    *,
    wrt: torch.nn.Module | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """The Jacobian by going forwards, once for each number of the input: for many outputs of few inputs.

    Args:
        function, argnums, has_aux, wrt: as in ``jacrev``.
        randomness: as in ``vmap``.

    Returns:
        As ``jacrev``.

    Raises:
        TransformError: as in ``grad``.

    Example:
        >>> import torch, tessera
        >>> tessera.jacfwd(lambda t: torch.stack([t.cos(), t.sin()]))(torch.tensor(0.0))
        tensor([-0., 1.])
    """
    check_function(function, "jacfwd")

    def transform(inner: Callable[..., Any], numbers: ArgNums) -> Callable[..., Any]:
        torch_internals.load_forward_mode()
        return torch.func.jacfwd(inner, numbers, has_aux=True, randomness=randomness)

    return _jacobian(function, argnums, has_aux, wrt, "jacfwd", transform)


def hessian(
    function: Callable[..., Any],
    argnums: ArgNums = 0,
    has_aux: bool = False,
    *,
    wrt: torch.nn.Module | None = None,
) -> Callable[..., Any]:
    """Second derivatives, forwards over backwards.

    Args:
        function, argnums, has_aux, wrt: as in ``jacrev``.

    Returns:
        A function of the same arguments that returns, for each output and each pair of arguments, the derivative
        ``[*output, *input, *input]``.

    Raises:
        TransformError: as in ``grad``.

    Example:
        >>> import torch, tessera
        >>> tessera.hessian(lambda x: (x ** 3).sum())(torch.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])

    References:
        Pearlmutter, Fast exact multiplication by the Hessian, 1994.
    """
    check_function(function, "hessian")

    def transform(inner: Callable[..., Any], numbers: ArgNums) -> Callable[..., Any]:
        torch_internals.load_forward_mode()
        first = torch.func.jacrev(inner, numbers, has_aux=True)
        return torch.func.jacfwd(first, numbers, has_aux=True)

    return _jacobian(function, argnums, has_aux, wrt, "hessian", transform)


def _jacobian(
    function: Callable[..., Any],
    argnums: ArgNums,
    has_aux: bool,
    wrt: torch.nn.Module | None,
    name: str,
    transform: Callable[[Callable[..., Any], ArgNums], Callable[..., Any]],
) -> Callable[..., Any]:
    """``transform`` of a function that always returns a pair."""
    pure = WithParameters(function, wrt, name) if wrt is not None else None

    @named_like(function)
    def jacobian(*args: Any, **named: Any) -> Any:
        aside = Aside()

        def inner(*args: Any, **named: Any) -> Any:
            output, buffers = (function(*args, **named), {}) if pure is None else pure(*args, **named)
            value, aux = with_aux(output, name) if has_aux else (output, None)
            return value, (aside.put(aux), buffers)

        if pure is None:
            check_argnums(argnums, args, name)
            result, (tensors, _) = transform(inner, argnums)(*args, **named)
        else:
            result, (tensors, buffers) = transform(inner, 0)(pure.parameters(), *args, **named)
            pure.keep(buffers)
        return (result, aside.take(tensors)) if has_aux else result

    return jacobian
