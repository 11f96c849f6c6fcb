"""What all transforms ask of their arguments, and what a function returns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import TransformError

ArgNums = int | tuple[int, ...]


class Aside:
    """Takes a second result past torch's transforms, which hand on tensors alone."""

    def put(self, value: Any) -> list[torch.Tensor]:
        """Keep what is no tensor, and return the tensors."""
        leaves, self._nest = torch_internals.flattened(value)
        self._others = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self._tensors = [number for number, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        return [leaves[number] for number in self._tensors]

    def take(self, tensors: Sequence[torch.Tensor]) -> Any:
        """The value again, with ``tensors`` as they came out of the transform."""
        leaves = list(self._others)
        for number, tensor in zip(self._tensors, tensors, strict=True):
            leaves[number] = tensor
        return self._nest(leaves)


def check_function(function: object, transform: str) -> None:
    """Raise unless it can be called."""
    if not callable(function):
        raise TransformError(
            f"tessera.{transform} was given a {type(function).__name__}.",
            "It transforms a function, and returns one.",
            f"Write tessera.{transform}(f)(x) rather than tessera.{transform}(f(x)).",
        )


def named_like(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a transformed function name and docstring of the plain one; nothing else, for that may be a module."""
    return functools.wraps(function, updated=())


def check_argnums(argnums: ArgNums, args: Sequence[Any], transform: str) -> None:
    """Raise unless the arguments that are differentiated are there, and hold floating point tensors."""
    for number in argnums if isinstance(argnums, tuple) else (argnums,):
        if not -len(args) <= number < len(args):
            raise TransformError(
                f"tessera.{transform} was asked for argnums={argnums}, and the call has {len(args)} positional ones.",
                "argnums numbers them from 0; what is passed by name is not differentiated.",
                f"Write argnums=0 for the first, and pass it by position{'' if args else ': f(x)'}.",
            )
        check_differentiable(args[number], f"argument {number}", transform)


def check_differentiable(value: Any, called: str, transform: str) -> None:
    """Raise unless every leaf of ``value`` is a floating point or complex tensor."""
    for leaf in torch_internals.flattened(value)[0]:
        if not isinstance(leaf, torch.Tensor):
            raise TransformError(
                f"The {called} of tessera.{transform} holds a {type(leaf).__name__}.",
                "Derivatives are taken with respect to tensors, or nests of them.",
                "Write torch.tensor(2.0) for a number, or choose other arguments by argnums.",
            )
        if not (leaf.is_floating_point() or leaf.is_complex()):
            raise TransformError(
                f"The {called} of tessera.{transform} is {str(leaf.dtype).removeprefix('torch.')}.",
                "A derivative is about small changes, which whole numbers and truth values have none of.",
                "Write x.float(), or choose other arguments by argnums.",
            )


def with_aux(output: Any, transform: str) -> tuple[Any, Any]:
    """The two that a function with ``has_aux`` returns."""
    if not isinstance(output, tuple) or len(output) != 2:
        given = f"a tuple of {len(output)}" if isinstance(output, tuple) else f"a {type(output).__name__}"
        raise TransformError(
            f"has_aux=True was passed to tessera.{transform}, and the function returned {given}.",
            "It returns two: what is differentiated, and what is handed on as it is.",
            "Write return loss, other, or leave has_aux out.",
        )
    return output
