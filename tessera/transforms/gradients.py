"""``tessera.grad`` and ``tessera.value_and_grad``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera.errors import TransformError
from tessera.transforms.arguments import ArgNums, Aside, check_argnums, check_function, named_like, with_aux
from tessera.transforms.parameters import WithParameters


def grad(
    function: Callable[..., Any],
    argnums: ArgNums = 0,
    has_aux: bool = False,
    *,
    wrt: torch.nn.Module | None = None,
) -> Callable[..., Any]:
    """The gradient of a function that returns one number.

    Args:
        function: returns a 0-d tensor; with ``has_aux`` a pair of it and anything else.
        argnums: which positional arguments the gradient is taken with respect to: tensors of a floating point dtype, or
            nested lists, tuples and dicts of them. A tuple of numbers gives a tuple of gradients.
        has_aux: the function returns a second value, which is handed on.
        wrt: a module that the function calls; the gradient is then taken with respect to its parameters, and not to
            arguments. What does not take part has a gradient of zero.

    Returns:
        A function of the same arguments that returns the gradient, in the shapes of what it is taken with respect to;
        a dict of them by name for ``wrt``. With ``has_aux``, a pair of it and the second value.

    Raises:
        TransformError: the function returns something else than one number, or an argument is no floating point tensor.

    Example:
        >>> import torch, tessera
        >>> tessera.grad(lambda x: x ** 3)(torch.tensor(2.0))
        tensor(12.)
        >>> tessera.grad(tessera.grad(torch.sin))(torch.tensor(0.0))
        tensor(-0.)
        >>> model = torch.nn.Linear(2, 1)
        >>> gradients = tessera.grad(lambda x: model(x).sum(), wrt=model)(torch.ones(3, 2))
        >>> {name: list(g.shape) for name, g in gradients.items()}
        {'weight': [1, 2], 'bias': [1]}

        Gradients sample by sample:

        >>> tessera.vmap(tessera.grad(lambda w, x: (w @ x) ** 2), in_dims=(None, 0))(torch.ones(2), torch.eye(2))
        tensor([[2., 0.],
                [0., 2.]])
    """
    check_function(function, "grad")
    both = _value_and_grad(function, argnums, has_aux, wrt, "grad")

    @named_like(function)
    def gradient(*args: Any, **named: Any) -> Any:
        value, gradients = both(*args, **named)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def value_and_grad(
    function: Callable[..., Any],
    argnums: ArgNums = 0,
    has_aux: bool = False,
    *,
    wrt: torch.nn.Module | None = None,
) -> Callable[..., Any]:
    """The value of a function that returns one number, and its gradient; see ``grad``.

    Returns:
        A function of the same arguments that returns ``(value, gradient)``, with ``has_aux``
        ``((value, aux), gradient)``.

    Raises:
        TransformError: as in ``grad``.

    Example:
        >>> import torch, tessera
        >>> tessera.value_and_grad(lambda x: (x ** 2).sum())(torch.tensor([1.0, 2.0]))
        (tensor(5.), tensor([2., 4.]))
        >>> model = torch.nn.Linear(2, 1)
        >>> def loss(x, y):
        ...     prediction = model(x)
        ...     return (prediction - y).square().mean(), prediction
        >>> differentiate = tessera.value_and_grad(loss, has_aux=True, wrt=model)
        >>> (value, prediction), gradients = differentiate(torch.ones(4, 2), 0.0)
        >>> sorted(gradients)
        ['bias', 'weight']
    """
    check_function(function, "value_and_grad")
    return _value_and_grad(function, argnums, has_aux, wrt, "value_and_grad")


def _value_and_grad(
    function: Callable[..., Any], argnums: ArgNums, has_aux: bool, wrt: torch.nn.Module | None, transform: str
) -> Callable[..., Any]:
    if wrt is not None:
        return _of_parameters(function, has_aux, wrt, transform)

    @named_like(function)
    def both(*args: Any, **named: Any) -> Any:
        check_argnums(argnums, args, transform)
        aside = Aside()

        def checked(*args: Any, **named: Any) -> Any:
            value, aux = _parted(function(*args, **named), has_aux, transform)
            return value, (value, aside.put(aux))

        gradients, (value, tensors) = torch.func.grad(checked, argnums, has_aux=True)(*args, **named)
        return ((value, aside.take(tensors)) if has_aux else value), gradients

    return both


def _of_parameters(
    function: Callable[..., Any], has_aux: bool, wrt: torch.nn.Module, transform: str
) -> Callable[..., Any]:
    pure = WithParameters(function, wrt, transform)

    @named_like(function)
    def both(*args: Any, **named: Any) -> Any:
        aside = Aside()

        def checked(parameters: dict[str, torch.Tensor], *args: Any, **named: Any) -> Any:
            output, buffers = pure(parameters, *args, **named)
            value, aux = _parted(output, has_aux, transform)
            return value, (value, aside.put(aux), buffers)

        gradients, (value, tensors, buffers) = torch.func.grad(checked, has_aux=True)(pure.parameters(), *args, **named)
        pure.keep(buffers)
        return ((value, aside.take(tensors)) if has_aux else value), gradients

    return both


def _parted(output: Any, has_aux: bool, transform: str) -> tuple[torch.Tensor, Any]:
    value, aux = with_aux(output, transform) if has_aux else (output, None)
    if not isinstance(value, torch.Tensor) or value.dim() != 0 or not value.is_floating_point():
        kind = str(value.dtype).removeprefix("torch.") if isinstance(value, torch.Tensor) else ""
        given = f"a {kind} tensor of shape {list(value.shape)}" if kind else f"a {type(value).__name__}"
        several = isinstance(value, torch.Tensor) and value.dim() > 0
        raise TransformError(
            f"The function given to tessera.{transform} returned {given}.",
            "A gradient is that of one number: a floating point tensor without dims.",
            "Write .mean() or .sum(), tessera.jacrev for the derivative of each number, or has_aux=True for a second "
            "result."
            if several
            else "Return the loss as it is computed, without .item() and argmax.",
        )
    return value, aux
